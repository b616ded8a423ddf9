"""What the API server and Flux themselves refuse, whoever asks."""

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.core import command
from harness.core.values import Value, dig, text
from harness.kubernetes import kinds
from harness.kubernetes.transport import ApiError
from tests.e2e.scenario import NAME, Scenario

_DIGEST = "sha256:" + "0" * 64


def _pod(namespace: str, image: str, **container: object) -> Value:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "try", "namespace": namespace},
        "spec": {
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "try",
                    "image": image,
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    **container,
                }
            ],
        },
    }


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        pytest.param(_pod(NAME, "localhost/torchserve:1.0"), "image by digest", id="a tag"),
        pytest.param(
            _pod(NAME, f"docker.io/other/image@{_DIGEST}"), "may serve images", id="a registry"
        ),
        pytest.param(
            _pod(NAME, f"localhost/torchserve@{_DIGEST}", securityContext={"privileged": True}),
            "privileged",
            id="privileged in TorchServe's namespace",
        ),
        pytest.param(
            _pod("default", f"localhost/x@{_DIGEST}", securityContext={"privileged": True}),
            "driver namespaces only",
            id="privileged elsewhere",
        ),
        pytest.param(
            _pod("default", "docker.io/other/image:1.0"), "not from a registry", id="elsewhere"
        ),
    ],
)
def test_pod_is_refused(shared: Scenario, pod: Mapping[str, object], why: str) -> None:
    with pytest.raises(ApiError) as refused:
        shared.api.create(pod, dry_run=True)
    assert refused.value.status in (403, 422)
    assert why in str(refused.value)


def test_pod_that_keeps_the_rules_is_accepted(shared: Scenario) -> None:
    pod = shared.api.create(_pod(NAME, f"localhost/torchserve@{_DIGEST}"), dry_run=True)
    assert text(pod, "metadata", "namespace") == NAME


def test_source_outside_the_list_is_refused(shared: Scenario) -> None:
    look_alike = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "other", "namespace": kinds.FLUX_NAMESPACE},
        "spec": {"interval": "1m", "url": f"{shared.cluster.url}.evil", "ref": {"branch": "main"}},
    }
    with pytest.raises(ApiError, match="not on the list of sources"):
        shared.api.create(look_alike, dry_run=True)


def test_release_that_moves_to_another_source_is_refused(scenario: Scenario) -> None:
    scenario.commit(
        scenario.replacement(
            "clusters/local/release.yaml", scenario.cluster.url, "https://example.com/x.git"
        )
    )
    scenario.failing(kinds.KUSTOMIZATION, kinds.ROOT, why="not on the list of sources")
    assert text(
        scenario.one(kinds.GIT_REPOSITORY, "release", kinds.FLUX_NAMESPACE), "spec", "url"
    ) == (scenario.cluster.url)


def test_unsigned_commit_is_refused_where_signatures_are_verified(
    shared: Scenario, tmp_path: Path
) -> None:
    """A branch that moves to an unsigned commit leaves the last signed one running."""
    key = tmp_path / "key"
    command.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], timeout=20)
    public = base64.b64encode(key.with_suffix(".pub").read_bytes()).decode()
    shared.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "signers", "namespace": kinds.FLUX_NAMESPACE},
            "data": {"signer.sshpub": public},
        }
    )
    signed = shared.bare.sign(shared.bare.head(), key, branch="signed")
    shared.api.apply(
        {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": {"name": "verified", "namespace": kinds.FLUX_NAMESPACE},
            "spec": {
                "interval": "1h",
                "url": shared.cluster.url,
                "ref": {"branch": "signed"},
                "verify": {"mode": "HEAD", "secretRef": {"name": "signers"}},
            },
        }
    )
    shared.wait_for(
        kinds.GIT_REPOSITORY,
        "verified",
        lambda each: text(each, "status", "artifact", "revision").endswith(signed),
    )
    shared.bare.move("signed", shared.bare.head())
    shared.api.reconcile(kinds.GIT_REPOSITORY, "verified")
    shared.failing(kinds.GIT_REPOSITORY, "verified", why="signature")
    after = shared.one(kinds.GIT_REPOSITORY, "verified", kinds.FLUX_NAMESPACE)
    assert text(after, "status", "artifact", "revision").endswith(signed)
    shared.api.delete(kinds.GIT_REPOSITORY, "verified", kinds.FLUX_NAMESPACE)


@pytest.mark.parametrize(
    ("namespace", "allowed"),
    [(NAME, True), ("nvidia", True), (kinds.FLUX_NAMESPACE, False), ("kube-system", False)],
)
def test_load_tests_forward_ports_of_servers_and_gpus_alone(
    shared: Scenario, namespace: str, allowed: bool
) -> None:
    for verb in ("create", "get"):
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": "workflow",
                "groups": ["torchserve:smoke"],
                "resourceAttributes": {
                    "namespace": namespace,
                    "verb": verb,
                    "resource": "pods",
                    "subresource": "portforward",
                },
            },
        }
        assert dig(shared.api.create(review), "status", "allowed") is allowed
