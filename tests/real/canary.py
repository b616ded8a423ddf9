"""Canaries on real pods: Flagger by its chart, Prometheus, gate and shadow, as pods like any other.

    with local.running(…, ground=ground) as cluster:
        canaries = canary.install(Pods(…), digest)
        canaries.begin()
        canaries.start("good-2")
        assert canaries.decide() == "Succeeded"

Real: the weights, which Envoy follows; the policies; the pods' start and end; Flux. Flagger's chart
is the one in its Go module. Played: DNS knows a Service when it is told of it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from harness import programs, tools
from harness.canary import known
from harness.core import command
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, mapping, text
from harness.core.yamlfile import ManifestLoader
from harness.kubernetes import canary as status
from harness.kubernetes import kinds
from harness.local_cluster import install as definitions
from harness.local_cluster.real import control_groups, gateway, images, release
from harness.local_cluster.real.gateway import DOMAIN
from harness.local_cluster.real.layout import Layout
from harness.models.answer import Expected
from harness.models.samples import PreparedSample
from harness.schema import catalog
from tests.e2e.scenario import OVERLAY
from tests.real.pods import NAME, Pods
from tests.support.flagger import CANARY, HTTP_ROUTE, reasons
from tests.support.processes import eventually

PRIMARY = f"{NAME}-primary"
SECOND = "second"
SYNC = f"{NAME}-model-sync"
_HANDLER = Path(__file__).with_name("variant_handler.py")
_VERSION = "variants"  # of the model; a cluster has its first version from another handler
_PROMETHEUS = Path(__file__).with_name("prometheus.yaml")
_COMPONENT = Path("infra/canary")
_CONTAINERFILE = _COMPONENT / "image" / "Containerfile"
_HARNESS = "localhost/harness"
_FLAGGER = "ghcr.io/fluxcd/flagger:{version}"
_DECIDED = 280.0  # seconds that Flagger may take for a change; 100 on a quiet machine
_READY = 120.0
_SAMPLE = PreparedSample(
    model=release.MODEL,
    version=release.FIRST,
    name="sample",
    content_type="application/octet-stream",
    body=b"sample",
    expected=Expected(text=hashlib.sha256(b"sample").hexdigest()),
)
# Of what ships: steps of a minute, a window of two.
_FAST: Value = {
    "analysis": {"interval": "10s", "threshold": 2, "stepWeight": 25, "maxWeight": 50},
    "window": "20s",
    "latencySeconds": 1.5,
}
_AT_REST = ("Initialized", "Succeeded", "Failed")
# A pod that never gets ready: of the chart's ten minutes and more.
_SOONER = {
    "target": {"kind": "Canary"},
    "patch": json.dumps([{"op": "replace", "path": "/spec/progressDeadlineSeconds", "value": 60}]),
}
_ASK = """
import json, sys, urllib.parse, urllib.request
query = urllib.parse.urlencode({"query": sys.argv[1]})
url = f"http://127.0.0.1:9090/api/v1/query?{query}"
print(urllib.request.urlopen(url, timeout=10).read().decode())
"""


def add_images(repository: Repository, built: images.Images) -> str:
    """Add the images of Flagger, Prometheus and the harness to those that pods may have.

    Args:
        repository: the working tree, with the programs.
        built: the images of real pods.

    Returns:
        The digest of the harness's image.
    """
    _build_harness(repository, built.layout)
    layout = Layout(built.layout)
    serving = layout.find(f"{images.SERVING}@{built.digest}") or {}
    for image, program, user in (
        (_FLAGGER.format(version=tools.version(repository, "flagger")), "flagger", "10001"),
        ("localhost/prometheus:1", "prometheus", "65534"),
    ):
        path = tools.find(repository, program)
        entry = [f"/usr/local/bin/{program}"]
        layout.derive(image, serving, entry, user=user, programs={program: path})
    manifest = layout.find(f"{_HARNESS}:built") or {}
    digest = str(manifest["digest"])
    layout.name(f"{_HARNESS}@{digest}", manifest)
    layout.write()
    return digest


def _build_harness(repository: Repository, layout: Path) -> None:
    """The image of gate and shadow by its Containerfile, on the base that can be had."""
    context = repository.build / "canary"
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(
        repository.root / "harness",
        context / "harness",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copytree(repository.root / _CONTAINERFILE.parent, context / _CONTAINERFILE.parent)
    file = context / _CONTAINERFILE
    lines = file.read_text().splitlines()
    ours = [f"FROM {images.BASE} AS base" if "@sha256:UNSET" in each else each for each in lines]
    file.write_text("\n".join(ours) + "\n")
    known.write(
        context / "build/canary/samples.json", {"local": {NAME: {release.MODEL: (_SAMPLE,)}}}
    )
    certificates = os.environ.get("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    images._buildah(
        "bud", "--quiet", "--layers", "--ignorefile=/dev/null",
        f"--secret=id=ca_bundle,src={certificates}",
        f"--file={file}", f"--tag={_HARNESS}:built", str(context),
    )  # fmt: skip
    images._buildah("push", "--quiet", f"{_HARNESS}:built", f"oci:{layout}:{_HARNESS}:built")


@dataclass(frozen=True)
class Canaries:
    """A group under a Canary, on real pods."""

    pods: Pods

    @property
    def canary(self) -> Value:
        return mapping(self.pods.cluster.api.get(CANARY, NAME, NAME))

    def phase(self) -> str:
        return text(self.canary, "status", "phase")

    def state(self) -> str:
        """How `harness status` finds it."""
        deployments = self.pods.cluster.api.list_all(kinds.DEPLOYMENT, NAME)
        return status.state(self.canary, deployments)[0]

    def weights(self) -> dict[str, int]:
        """Of the HTTPRoute, by the Service's name."""
        route = self.pods.cluster.api.get(HTTP_ROUTE, f"{NAME}-models", NAME)
        refs = items(route, "spec", "rules", 0, "backendRefs")
        return {text(each, "name"): int(str(dig(each, "weight") or 0)) for each in refs}

    def begin(self) -> None:
        """Have Flagger make the primary."""
        self.commit("good")
        eventually(lambda: self.phase() == "Initialized", _DECIDED)
        gateway.publish(self.pods.cluster.api, self.pods.cluster.folder)

    def commit(self, variant: str, *, shadow: bool = True) -> str:
        """Commit pods of a variant, and have Flux fetch them; the commit."""
        values = {
            "replicas": None,
            "autoscaling": {"kind": "hpa", "minReplicas": 2, "maxReplicas": 2},
            "canary": {
                "enabled": True,
                "hosts": [f"torchserve.{DOMAIN}"],
                "match": [{"uri": {"prefix": f"/predictions/{release.MODEL}"}}],
                "shadow": {"enabled": shadow},
                **_FAST,
            },
            "env": [{"name": "VARIANT", "value": variant}],
        }
        changes = self.pods.release(_VERSION, values, _HANDLER)
        overlay = yaml.safe_load(str(changes[OVERLAY]))
        overlay["spec"]["postRenderers"] = [{"kustomize": {"patches": [_SOONER]}}]
        changes = {**changes, OVERLAY: yaml.safe_dump(overlay, sort_keys=False)}
        commit = self.pods.cluster.bare.commit(changes, f"Pods of the variant {variant}")
        self.pods.request()
        return commit

    def start(self, variant: str, *, shadow: bool = True) -> None:
        """Commit pods of a variant, and wait until Flagger has begun with them."""
        self.decide()  # about the last one
        self.commit(variant, shadow=shadow)
        eventually(lambda: self.variant(NAME) == variant, _READY)
        eventually(lambda: self.phase() not in _AT_REST, _READY)

    def decide(self) -> str:
        """Wait until Flagger has decided; its phase then."""
        eventually(lambda: self.state() != "reconciling", _DECIDED)
        return self.phase()

    def variant(self, deployment: str) -> str:
        """What $VARIANT is in a Deployment's pods."""
        value = self.pods.cluster.api.get(kinds.DEPLOYMENT, deployment, NAME)
        (container,) = items(value, "spec", "template", "spec", "containers")
        return next(
            text(each, "value")
            for each in items(container, "env")
            if text(each, "name") == "VARIANT"
        )

    def reasons(self) -> str:
        """What Flagger said of the last change."""
        return reasons(self.pods.kubectl("logs", "--namespace=canary", "deployment/flagger"))

    def query(self, promql: str) -> float:
        """The one figure that Prometheus finds, or 0."""
        words = ("exec", "--namespace=monitoring", "deployment/prometheus", "--", "python", "-c")
        reply = json.loads(self.pods.kubectl(*words, _ASK, promql))
        return float(str(dig(reply, "data", "result", 0, "value", 1) or 0))

    def requests_to_canary(self, since: float) -> int:
        """How many requests pods of a canary have answered in the last seconds, well or not."""
        window = f"{int(time.time() - since) + 1}s"
        of_canary = f'{{group="{NAME}",pod!~"{PRIMARY}-.*"}}'
        count = 0.0
        for name in ("answers", "failures"):
            series = f"launcher_{name}_total{of_canary}"
            count += self.query(f"sum(max_over_time({series}[{window}]))")
            count -= self.query(f"sum({series} offset {window})")
        return round(count)

    def add_group(self) -> None:
        """A second group, of a pod that answers every request wrongly."""
        bare, group = self.pods.cluster.bare, Path(OVERLAY).parent
        changes = {}
        for name in ("config.properties", "kustomization.yaml", "model-files.yaml"):
            content = bare.read(str(group / name))
            changes[f"{group.with_name(SECOND) / name}"] = content.replace(
                f"{NAME}-snapshot", f"{SECOND}-snapshot"
            )
        overlay = yaml.safe_load(
            bare.read(OVERLAY).replace(f"{NAME}-snapshot", f"{SECOND}-snapshot")
        )
        overlay["metadata"]["name"] = overlay["spec"]["releaseName"] = SECOND
        del overlay["spec"]["values"]["canary"], overlay["spec"]["postRenderers"]
        wrong = [{"name": "VARIANT", "value": "wrong"}]
        overlay["spec"]["values"] |= {"replicas": 1, "autoscaling": {"kind": "none"}, "env": wrong}
        changes[f"{group.with_name(SECOND)}/helmrelease.yaml"] = yaml.safe_dump(overlay)
        groups = str(group.with_name("kustomization.yaml"))
        others = bare.read(groups).replace(f"  - {SECOND}\n", "")
        changes[groups] = others + f"  - {SECOND}\n"
        self.pods.cluster.sync(bare.commit(changes, "A second group"), seconds=_DECIDED)

    def start_sync_job(self) -> None:
        """A Job's pod with the labels of the sync Job's, which says whatever it is asked for."""
        labels = {
            "app.kubernetes.io/name": "torchserve",
            "app.kubernetes.io/instance": SYNC,
            "app.kubernetes.io/component": "model-sync",
        }
        container = {
            "name": "sync",
            "image": f"{images.SERVING}@{self.pods.images.digest}",
            "command": ["python", "-m", "http.server", "8080"],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
        pod = {"restartPolicy": "Never", "containers": [container]}
        job: Value = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": SYNC, "namespace": NAME},
            "spec": {"template": {"metadata": {"labels": labels}, "spec": pod}},
        }
        self.pods.cluster.api.apply(job)
        self.pods.kubectl(
            "wait", f"--namespace={NAME}", "--for=condition=Ready", "pod", "--timeout=60s",
            f"--selector=app.kubernetes.io/instance={SYNC}",
        )  # fmt: skip

    def kill_flagger(self) -> None:
        """``kill -9`` its process; the kubelet starts it again."""
        nodes = control_groups.name_of(self.pods.cluster.folder, "")
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                where = Path(f"/proc/{process.pid}/cgroup").read_text()
                if nodes in where and process.name() == "flagger":
                    return process.kill()
        raise AssertionError("no pod runs flagger")


def install(pods: Pods, digest: str) -> Canaries:
    """Apply the component, Flagger and a Prometheus, and wait until their pods are ready."""
    api = pods.cluster.api
    crds = catalog.find(pods.repository) / catalog.CRDS
    definitions.install(api, [*definitions.definitions(crds, "flagger@*")])
    for each in _objects(pods.repository, digest):
        api.apply(each)
    gateway.publish(api, pods.cluster.folder)
    for namespace in ("canary", "monitoring"):
        api.wait_for(
            kinds.DEPLOYMENT, _all_available, namespace=namespace, seconds=_READY,
            what=f"the pods of {namespace}",
        )  # fmt: skip
    return Canaries(pods)


def _all_available(deployments: list[Value]) -> bool:
    return bool(deployments) and all(
        dig(each, "status", "availableReplicas") == (dig(each, "spec", "replicas") or 1)
        for each in deployments
    )


def _objects(repository: Repository, digest: str) -> Iterator[Value]:
    """What Flux would apply, but for what is read from the figures' operator."""
    folder = repository.root / "infra"
    for file in ("monitoring/controllers/namespace", "canary/controllers/namespace"):
        yield from _load((folder / f"{file}.yaml").read_text())
    for file in ("monitoring/controllers/networkpolicy", "canary/controllers/networkpolicy"):
        yield from _load((folder / f"{file}.yaml").read_text())
    yield from _load(_PROMETHEUS.read_text())
    yield from _flagger(repository)
    argv: list[str | Path] = [tools.find(repository, "kustomize"), "build", "infra/canary/configs"]
    built = command.run(argv, cwd=repository.root, timeout=_READY).stdout
    for variable, value in (
        ("${REGISTRY}/torchserve@sha256:UNSET", f"{_HARNESS}@{digest}"),
        ("${ENVIRONMENT}", "local"),
    ):
        built = built.replace(variable, value)
    yield from (each for each in _load(built) if each["kind"] != "PodMonitor")


def _flagger(repository: Repository) -> Iterator[Value]:
    """Its chart, out of its Go module, with the values of infra/canary."""
    go, env = tools.go(repository)
    module = f"{programs.ALL['flagger'].module}@v{tools.version(repository, 'flagger')}"
    where = repository.root / "tools" / "flagger"
    download: list[str | Path] = [go, "mod", "download", "-json", module]
    source = json.loads(command.run(download, cwd=where, env=env, timeout=_READY).stdout)
    documents = _load((repository.root / _COMPONENT / "controllers/flagger.yaml").read_text())
    values = next(mapping(each, "spec", "values") for each in documents if "values" in each["spec"])
    path = repository.build / "canary" / "flagger.yaml"
    path.write_text(yaml.safe_dump({**values, "crd": {"create": False}}))
    chart = Path(source["Dir"], "charts/flagger")
    template: list[str | Path] = [tools.find(repository, "helm"), "template", "flagger", chart]
    template += ["--namespace", "canary", "--values", path]
    for each in _load(command.run(template, timeout=_READY).stdout):
        if each["kind"] == "Deployment":
            (container,) = items(each, "spec", "template", "spec", "containers")
            # Its image has the program elsewhere, and a wget for probes.
            container["command"][0] = "/usr/local/bin/flagger"
            # Of the chart's ten seconds, so that nobody waits.
            container["command"].append("-control-loop-interval=2s")
            for probe in ("livenessProbe", "readinessProbe"):
                container.pop(probe, None)
        yield each


def _load(content: str) -> Iterator[Any]:
    yield from (each for each in yaml.load_all(content, Loader=ManifestLoader) if each)
