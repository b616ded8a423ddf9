"""Envoy Gateway in a cluster with real nodes: its chart, and what infra/gateway says of routes.

Its chart comes out of the Go module that its program is built from, at the version that
infra/gateway pins. What is played: the load balancer (the Service's address is published as its
own) and the certificate, which an authority of this machine signs.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

from harness import programs, tools
from harness.core import command, files
from harness.core.repository import Repository
from harness.core.values import Value, dig, text
from harness.core.yamlfile import ManifestLoader
from harness.kubernetes.api import Api, Kind
from harness.local_cluster import install
from harness.local_cluster.real.ground import DNS
from harness.local_cluster.real.images import GATEWAY

NAMESPACE = "envoy-gateway-system"
_NAME = "envoy-gateway"
_SECONDS = 120.0
_SERVICE = Kind("v1", "Service")
_DEPLOYMENT = Kind("apps/v1", "Deployment")


def chart(repository: Repository) -> Path:
    """Return the chart of the pinned version, out of its Go module."""
    version = tools.version(repository, _NAME)
    folder = repository.build / "images" / f"gateway-helm-{version}"
    if not folder.exists():
        go, env = tools.go(repository)
        module = f"{programs.ALL[_NAME].module}@v{version}"
        argv: list[str | Path] = [go, "mod", "download", "-json", module]
        where = repository.root / "tools" / programs.ALL[_NAME].folder
        module_json = json.loads(command.run(argv, cwd=where, env=env, timeout=_SECONDS).stdout)
        source = Path(text(module_json, "Dir"), "charts", "gateway-helm")
        shutil.copytree(source, folder)
        template = (source / "values.tmpl.yaml").read_text()
        template = template.replace("${GatewayImage}", GATEWAY.format(version=version))
        files.write(
            folder / "values.yaml", template.replace("${GatewayImagePullPolicy}", "IfNotPresent")
        )
    return folder


def manifests(repository: Repository) -> Iterator[Value]:
    """Everything that the chart makes."""
    argv: list[str | Path] = [
        tools.find(repository, "helm"), "template", _NAME, chart(repository),
        "--namespace", NAMESPACE, "--include-crds",
    ]  # fmt: skip
    output = command.run(argv, timeout=_SECONDS).stdout
    yield from (each for each in yaml.load_all(output, Loader=ManifestLoader) if each)


def start(repository: Repository, cluster: Api, folder: Path) -> None:
    """Install the controller, and wait until its pod is ready.

    Args:
        repository: the working tree.
        cluster: its API server.
        folder: of the cluster.
    """
    everything = list(manifests(repository))
    crds = [each for each in everything if each["kind"] == "CustomResourceDefinition"]
    namespace: Value = {"name": NAMESPACE}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": namespace})
    install.install(cluster, crds)
    for each in everything:
        if each["kind"] != "CustomResourceDefinition":
            cluster.apply(each)
    publish(cluster, folder)
    cluster.wait_for(_DEPLOYMENT, _is_available, seconds=_SECONDS, what="Envoy Gateway")


def _is_available(deployments: list[Value]) -> bool:
    return any(
        text(each, "metadata", "name") == _NAME and dig(each, "status", "availableReplicas")
        for each in deployments
    )


def publish(cluster: Api, folder: Path) -> None:
    """Give pods the name of every Service there is now."""
    lines = []
    for each in cluster.list_all(_SERVICE):
        address = text(each, "spec", "clusterIP")
        if address not in ("", "None"):
            name, namespace = text(each, "metadata", "name"), text(each, "metadata", "namespace")
            lines.append(f"{address} {name}.{namespace}.svc.cluster.local {name}.{namespace}.svc")
    files.write(folder / DNS / "services", "\n".join(lines) + "\n")
