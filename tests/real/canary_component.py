"""The component infra/canary on real pods: its images, Flagger by its chart, a Prometheus.

    digest = canary_component.add_images(checkout, built)
    with local.running(…, ground=ground) as cluster:
        canary_component.install(Pods(…), digest)

Flagger's chart is the one in its Go module. Flux applies none of it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from harness import programs, tools
from harness.canary import known
from harness.core import command
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, mapping
from harness.core.yamlfile import ManifestLoader
from harness.kubernetes import kinds
from harness.local_cluster import install as definitions
from harness.local_cluster.real import gateway, images, release
from harness.local_cluster.real.layout import Layout
from harness.models.answer import Expected
from harness.models.samples import PreparedSample
from harness.schema import catalog
from tests.real.pods import NAME, Pods

_PROMETHEUS = Path(__file__).with_name("prometheus.yaml")
_COMPONENT = Path("infra/canary")
_CONTAINERFILE = _COMPONENT / "image" / "Containerfile"
_BUILD = "real-canary"
_HARNESS = "localhost/harness"
_FLAGGER = "ghcr.io/fluxcd/flagger:{version}"
_SAMPLE = PreparedSample(
    model=release.MODEL,
    version=release.FIRST,
    name="sample",
    content_type="application/octet-stream",
    body=b"sample",
    expected=Expected(text=hashlib.sha256(b"sample").hexdigest()),
)
_READY = 120.0  # seconds


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
    context = repository.build / _BUILD
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
    images.buildah(
        "bud", "--quiet", "--layers", "--ignorefile=/dev/null",
        f"--secret=id=ca_bundle,src={certificates}",
        f"--file={file}", f"--tag={_HARNESS}:built", str(context),
    )  # fmt: skip
    images.buildah("push", "--quiet", f"{_HARNESS}:built", f"oci:{layout}:{_HARNESS}:built")


def install(pods: Pods, digest: str) -> None:
    """Apply the component, Flagger and a Prometheus, and wait until their pods are ready.

    Args:
        pods: those that serve.
        digest: of the harness's image.
    """
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
    path = repository.build / _BUILD / "flagger.yaml"
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
