"""The way from an account to the first sync, on a real API server and a real Flux.

What is imitated: AWS (moto), eksctl and helm (tests/bootstrap/programs.py), and flux-operator, in
whose place the test begins the sync once the FluxInstance is there.
"""

import base64
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

from harness import cli
from harness.bootstrap import credential, sync
from harness.bootstrap.installation import Installation
from harness.bootstrap.step import apply
from harness.bootstrap.steps import STEPS
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, mapping, text
from harness.kubernetes import kinds, reconciliation
from harness.local_cluster import bare_repository, local, placeholder_commit
from harness.local_cluster.install import definitions
from harness.local_cluster.install import install as install_objects
from harness.local_cluster.local import LocalCluster
from harness.schema import catalog
from harness.settings import site
from tests.bootstrap import fixtures
from tests.bootstrap.fixtures import CLUSTER, REGION, SETTINGS, Fork, Programs, mutating
from tests.support.aws_server import Shim

front, shim, empty = fixtures.front, fixtures.shim, fixtures.empty
clients, on_path, install = fixtures.clients, fixtures.on_path, fixtures.install

TOKEN = f"ghp_{'x' * 36}"  # no file has it, not even this one
ROLE = "arn:aws:iam::123456789012:role/workflow"
IMAGE = "apps/torchserve/base/helmrelease.yaml"
FILES = "apps/torchserve/staging/torchserve/model-files.yaml"
FOLDER = "clusters/staging"


@pytest.fixture(scope="module")
def cluster(checkout: Repository) -> Iterator[LocalCluster]:
    with local.running(checkout, "e2e-bootstrap", nodes_of="staging") as running:
        crds = catalog.find(checkout) / catalog.CRDS
        install_objects(running.api, list(definitions(crds, "flux-operator@*")))
        yield running


@pytest.fixture
def fork(cluster: LocalCluster, checkout: Repository, tmp_path: Path) -> Fork:
    """A checkout whose staging applies what this machine can run, and its origin.

    Flux follows another repository, which gets what is merged at last (``ready``): the test before
    has left it at work, and it would deploy the half-filled staging that origin begins with.
    """
    origin = bare_repository.create(tmp_path, checkout)
    origin.take(checkout, placeholder_commit.changes(checkout, cluster.env, cluster.url))
    changes: dict[str, str | None] = {
        f"{FOLDER}/{name}": origin.read(f"clusters/local/{name}")
        for name in ("release.yaml", "infra.yaml", "apps.yaml")
    }
    listed = ["release.yaml", "site.yaml", "infra.yaml", "apps.yaml", "flux-system"]
    entry_point = yaml.safe_load(origin.read("clusters/local/kustomization.yaml"))
    changes[f"{FOLDER}/kustomization.yaml"] = yaml.safe_dump(entry_point | {"resources": listed})
    # The operator's chart is on a registry that this machine does not reach.
    ours = yaml.safe_dump({"resources": ["fluxinstance.yaml"]})
    changes[f"{FOLDER}/flux-system/kustomization.yaml"] = ours
    instance = (checkout.root / FOLDER / "flux-system/fluxinstance.yaml").read_text()
    changes[f"{FOLDER}/flux-system/fluxinstance.yaml"] = instance.replace("UNSET", cluster.url)
    # `harness init` wants https or ssh, which this machine's Git server does not speak.
    values = (checkout.root / FOLDER / "site.yaml").read_text()
    values = values.replace("GIT_URL: UNSET", f"GIT_URL: {cluster.url}")
    changes[f"{FOLDER}/site.yaml"] = f"{values}  MODEL_STORE_PATH: /var/lib/model-store\n"
    origin.commit(changes, "A staging that this machine can run")
    root = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", origin.path, root], check=True)
    clone = Fork(Repository(root), origin.path)
    clone.git("checkout", "--quiet", "-b", "work")
    rest = {name: value for name, value in SETTINGS.items() if name != "GIT_URL"}
    site.fill(clone.repository, "staging", rest | {"WORKFLOW_ROLE_ARN": ROLE})
    return clone


@pytest.fixture
def ready(
    cluster: LocalCluster,
    fork: Fork,
    empty: Shim,
    on_path: Programs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Fork:
    """Where the first apply has stopped, and a person has done what it asked for."""
    empty.endpoints[CLUSTER] = cluster.ports.server
    monkeypatch.setenv("PROGRAM_KUBECONFIG", str(cluster.kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.chdir(fork.repository.root)
    assert cli.main(["bootstrap", "apply", "--env", "staging"]) == 3
    _push(fork, empty)
    fork.merge()
    fork.git("fetch", "--quiet", "origin")
    fork.git("push", "--quiet", "--force", str(cluster.bare.path), f"HEAD:{bare_repository.MAIN}")
    return fork


def _push(fork: Fork, shim: Shim) -> None:
    """An image into the registry, its digest into Git; archives into the bucket."""

    def client(service: str) -> Any:
        return boto3.client(service, region_name=REGION, endpoint_url=shim.moto)

    manifest = '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}'
    response = client("ecr").put_image(
        repositoryName="staging/torchserve", imageManifest=manifest, imageTag="x"
    )
    path = fork.repository.root / IMAGE
    digest = dig(yaml.safe_load(path.read_text()), "spec", "values", "image", "digest")
    fork.replace(IMAGE, str(digest), response["image"]["imageId"]["imageDigest"])
    document = yaml.safe_load((fork.repository.root / FILES).read_text())
    bucket = next(
        each.value for each in site.read(fork.repository, "staging") if each.name == "MODEL_BUCKET"
    )
    for each in document["modelStore"]["files"]:
        client("s3").put_object(Bucket=bucket, Key=each["name"], Body=b"\0" * each["size"])


@pytest.fixture
def operator(cluster: LocalCluster) -> Iterator[None]:
    """Begins the sync once there is a FluxInstance, as flux-operator does; there is none now."""
    _unfollow(cluster)  # first: a sync would bring the instance back
    cluster.api.delete(kinds.FLUX_INSTANCE, "flux", kinds.FLUX_NAMESPACE)
    cluster.api.delete(kinds.SECRET, credential.NAME, kinds.FLUX_NAMESPACE)

    def work() -> None:
        cluster.api.wait_for(kinds.FLUX_INSTANCE, bool, seconds=120)
        cluster.follow("staging", cluster.url)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


def _unfollow(cluster: LocalCluster) -> None:
    """Take the root Kustomization away and leave what it has applied."""
    if cluster.api.get(kinds.KUSTOMIZATION, kinds.ROOT, kinds.FLUX_NAMESPACE):
        orphaning = {"spec": {"deletionPolicy": "Orphan"}}
        cluster.api.patch(kinds.KUSTOMIZATION, kinds.ROOT, orphaning, kinds.FLUX_NAMESPACE)
        cluster.api.delete(kinds.KUSTOMIZATION, kinds.ROOT, kinds.FLUX_NAMESPACE)
        cluster.api.wait_until_gone(
            {(kinds.KUSTOMIZATION, kinds.ROOT, kinds.FLUX_NAMESPACE)}, seconds=60
        )


@pytest.fixture
def followed(
    ready: Fork, cluster: LocalCluster, install: Callable[..., Installation]
) -> Callable[..., Installation]:
    """An installation of which Flux follows main."""
    _bring(install)
    if not cluster.api.get(kinds.KUSTOMIZATION, kinds.ROOT, kinds.FLUX_NAMESPACE):
        cluster.follow("staging", cluster.url)
    cluster.sync(ready.git("rev-parse", "HEAD"))
    return install


def secret(cluster: LocalCluster) -> dict[str, str]:
    value = cluster.api.get(kinds.SECRET, credential.NAME, kinds.FLUX_NAMESPACE)
    data = mapping(value, "data")
    return {key: base64.b64decode(text(data, key)).decode() for key in data}


def instance(cluster: LocalCluster) -> Value:
    value = cluster.api.get(kinds.FLUX_INSTANCE, "flux", kinds.FLUX_NAMESPACE)
    assert value
    return value


def versions(cluster: LocalCluster) -> tuple[str, object]:
    """What changes when somebody writes the Secret, or the instance's spec."""
    secret_value = cluster.api.get(kinds.SECRET, credential.NAME, kinds.FLUX_NAMESPACE)
    return (
        text(secret_value, "metadata", "resourceVersion"),
        dig(instance(cluster), "metadata", "generation"),
    )


def test_stopped_after_each_step_the_next_run_goes_on(
    ready: Fork, cluster: LocalCluster, operator: None, install: Callable[..., Installation]
) -> None:
    applied: list[str] = []
    while len(applied) < len(STEPS):
        for row in apply(STEPS, install(token=TOKEN)):
            if row.name not in applied:
                applied.append(row.name)
                break  # as if it had been killed here
    assert applied == [step.name for step in STEPS]
    assert secret(cluster)["password"] == TOKEN


def test_from_what_main_has_to_the_first_sync_and_once_more(
    ready: Fork,
    cluster: LocalCluster,
    operator: None,
    empty: Shim,
    on_path: Programs,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GIT_TOKEN", TOKEN)
    on_path.say("helm.dies", "0")
    assert cli.main(["bootstrap", "apply", "--env", "staging"]) == 3, "helm was killed"
    monkeypatch.setenv("GIT_TOKEN", TOKEN)
    assert cli.main(["bootstrap", "apply", "--env", "staging"]) == 0
    shown = capsys.readouterr()
    assert shown.out.endswith("staging is installed, and follows main\n")

    source = (ready.repository.root / FOLDER / "flux-system/ocirepository.yaml").read_text()
    version = text(yaml.safe_load(source), "spec", "ref", "tag")
    installs = [words for words in on_path.words("helm") if words.startswith("upgrade")]
    assert (
        "--install flux-operator oci://ghcr.io/controlplaneio-fluxcd/charts/flux-operator "
        in (installs[-1])
    )
    assert f"--version {version} --create-namespace" in installs[-1]
    assert "--namespace flux-system --kube-context" in installs[-1]
    assert on_path.words("helm")[-2].startswith("uninstall flux-operator")

    assert secret(cluster) == {"username": "git", "password": TOKEN}
    assert TOKEN not in shown.out + shown.err
    for name in ("eksctl", "helm", "kubectl", "aws"):
        assert TOKEN not in json.dumps(on_path.calls(name)), name
    for folder in (cluster.folder / "logs", ready.repository.root):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []

    cluster.api.reconcile(kinds.KUSTOMIZATION, kinds.ROOT)
    cluster.api.wait_for(kinds.FLUX_INSTANCE, _is_gits_alone, seconds=60)
    # `release` may still have what the test before has merged, and Flux would go on by itself.
    cluster.sync(ready.git("rev-parse", "HEAD"))

    before, words = versions(cluster), (on_path.words("eksctl"), on_path.words("helm"))
    empty.reset()
    assert cli.main(["bootstrap", "apply", "--env", "staging"]) == 0
    assert mutating(empty.calls) == []
    assert (on_path.words("eksctl"), on_path.words("helm")) == words
    assert versions(cluster) == before
    assert _is_gits_alone([instance(cluster)])
    capsys.readouterr()
    assert cli.main(["bootstrap", "plan", "--env", "staging"]) == 0
    plan = capsys.readouterr().out.splitlines()
    assert {line[0] for line in plan} <= {"✓", " "}


def test_another_token_replaces_the_first_and_nothing_else(
    ready: Fork, cluster: LocalCluster, install: Callable[..., Installation]
) -> None:
    _bring(install)
    assert credential.inspect(install()).is_done, "without a token, the one that is there stays"
    _, flux_before = versions(cluster)
    other = install(token=f"{TOKEN}-2")
    assert credential.inspect(other).changes == (
        "~ Secret flux-system/git-credential: the token that was given",
    )
    credential.provide(other, lambda _: None)
    assert credential.inspect(other).is_done
    assert secret(cluster)["password"] == f"{TOKEN}-2"
    assert versions(cluster)[1] == flux_before


def test_by_ssh_the_key_is_made_here_and_only_its_public_half_is_shown(
    ready: Fork,
    cluster: LocalCluster,
    install: Callable[..., Installation],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _bring(install)
    ready.replace(f"{FOLDER}/site.yaml", cluster.url, "ssh://git@github.com/acme/torchserve.git")
    monkeypatch.setenv("HOME", str(tmp_path))
    installation = install()
    assert credential.inspect(installation).changes
    with pytest.raises(HarnessError, match=r"has no key of github\.com") as refused:
        credential.provide(installation, lambda _: None)
    assert "ssh-keyscan github.com" in refused.value.hint
    server = Ed25519PrivateKey.generate().public_key()
    known = f"github.com {server.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()}"
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"{known}\n")
    credential.provide(installation, lambda _: None)
    content = secret(cluster)
    assert set(content) == {"identity", "identity.pub", "known_hosts"}
    assert content["known_hosts"] == f"{known}\n"
    key = load_ssh_private_key(content["identity"].encode(), None)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert content["identity.pub"] == public
    shown = capsys.readouterr()
    assert public in shown.err
    assert content["identity"].splitlines()[1] not in shown.out + shown.err
    assert credential.inspect(install()).is_done, "a key that is there is not made again"


def test_a_cluster_that_does_not_answer_says_from_where_it_does(
    ready: Fork, empty: Shim, install: Callable[..., Installation]
) -> None:
    with socket.socket() as taken:  # bound, not listening
        taken.bind(("127.0.0.1", 0))
        empty.endpoints[CLUSTER] = f"https://127.0.0.1:{taken.getsockname()[1]}"
        sync.write_kubeconfig(install(), lambda _: None)
        inspection = sync.inspect_access(install())
    assert "does not answer" in inspection.lines[0]
    assert (
        inspection.manual == "come from 198.51.100.7/32 (ADMIN_CIDR): it answers no other address"
    )


def test_a_first_sync_that_does_not_end_says_what_is_not_ready(
    followed: Callable[..., Installation], cluster: LocalCluster
) -> None:
    installation = followed(sync_seconds=0.2)
    cluster.api.patch(
        kinds.KUSTOMIZATION, kinds.ROOT, {"spec": {"path": "./nowhere"}}, kinds.FLUX_NAMESPACE
    )
    cluster.api.wait_for(
        kinds.KUSTOMIZATION,
        lambda objects: any(not reconciliation.ready(each) for each in objects),
        seconds=60,
    )
    try:
        with pytest.raises(
            HarnessError, match=r"timed out after 0.2 s waiting for the sync\n  Kustomization/"
        ) as late:
            sync.wait_for_sync(installation, lambda _: None)
        assert "harness status --context" in late.value.hint
    finally:
        right = {"spec": {"path": f"./{FOLDER}"}}
        cluster.api.patch(kinds.KUSTOMIZATION, kinds.ROOT, right, kinds.FLUX_NAMESPACE)


def test_a_repository_that_flux_cannot_read_says_how_to_let_it_in(
    followed: Callable[..., Installation], cluster: LocalCluster
) -> None:
    installation = followed(refused_seconds=0.1)

    def branch(name: str) -> None:
        wrong = {"spec": {"ref": {"branch": name}}}
        cluster.api.patch(kinds.GIT_REPOSITORY, kinds.ROOT, wrong, kinds.FLUX_NAMESPACE)

    branch("nowhere")
    try:
        with pytest.raises(HarnessError, match="GitRepository/flux-system is not ready") as refused:
            sync.wait_for_sync(installation, lambda _: None)
        assert "delete secret -n flux-system git-credential" in refused.value.hint
    finally:
        branch("main")


def test_the_operator_is_flux_own_once_there_is_an_instance(
    followed: Callable[..., Installation], on_path: Programs
) -> None:
    """Its chart brings the kind of the instance: to remove it would be to remove Flux."""
    release = {"chart": "flux-operator-0.1.0", "status": "pending-upgrade"}
    on_path.say("helm.release", json.dumps([release]))
    inspection = sync.inspect_operator(followed())
    assert inspection.is_done
    assert inspection.lines == ("flux-operator-0.1.0 is pending-upgrade, and Flux keeps it",)


def _is_gits_alone(instances: list[Value]) -> bool:
    """Whether kustomize-controller has taken the instance over from bootstrap, all of it."""
    fields = items(instances[0], "metadata", "managedFields") if instances else []
    return {text(each, "manager") for each in fields} == {"kustomize-controller"}


def _bring(install: Callable[..., Installation]) -> None:
    """As far as the credential, whatever the test before has left."""
    for row in apply(STEPS, install(token=TOKEN)):
        if row.name == "credential":
            return
