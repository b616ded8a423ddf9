"""Envoy Gateway in a cluster with real nodes: its chart, and what infra/gateway says of routes.

Its chart comes out of the Go module that its program is built from, at the version that
infra/gateway pins. What is played: the load balancer (the Service's address is published as its
own) and the certificate, which an authority of this machine signs.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import programs, tools
from harness.core import command, files
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, text
from harness.kubernetes.api import Api, Kind
from harness.local_cluster import install, pki
from harness.local_cluster.real.ground import DNS
from harness.local_cluster.real.images import GATEWAY
from harness.local_cluster.real.network import BALANCER
from harness.render import helm, kustomize, tree

NAMESPACE = "envoy-gateway-system"
_NAME = "envoy-gateway"
_SECONDS = 120.0
DOMAIN = "cluster.test"
_CONFIGS = "infra/gateway/configs"
# Of cert-manager, which is not there; and the tokens' issuer, which is nowhere.
_PLAYED = ("Certificate", "ClusterIssuer", "SecurityPolicy")
_OWNER = "gateway.envoyproxy.io/owning-gateway-name"
_GATEWAY = "torchserve"
PROXIES = f"{_OWNER}={_GATEWAY}"
"""The label of everything that belongs to the proxies."""

GRPC_HOST = f"torchserve-grpc.{DOMAIN}"
_GATEWAYS = Kind("gateway.networking.k8s.io/v1", "Gateway")
_SERVICE = Kind("v1", "Service")
_DEPLOYMENT = Kind("apps/v1", "Deployment")


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where requests enter, in the sandbox: address and port, by TLS, and the host's name."""

    address: str
    port: int
    host: str


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
    folder = str(chart(repository).relative_to(repository.root))
    request = helm.Template(folder, _NAME, NAMESPACE, {})
    program = tools.find(repository, "helm")
    objects = helm.render(program, tree.working(repository), request, list)
    yield from (each for each, _ in helm.read(objects))


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


def configure(repository: Repository, cluster: Api, folder: Path) -> Entrance:
    """Apply infra/gateway/configs, and wait until the proxies serve its routes.

    Returns:
        Where requests enter.
    """
    request = kustomize.Build(_CONFIGS, {}, {"DOMAIN": DOMAIN})
    program = tools.find(repository, "kustomize")
    objects = kustomize.read(kustomize.build(program, tree.working(repository), request))
    certify(cluster)
    for each in objects:
        namespace = text(each.value, "metadata", "namespace")
        if text(each.value, "kind") not in _PLAYED and namespace != "cert-manager":
            cluster.apply(each.value)
    service = cluster.wait_for(
        _SERVICE,
        _service_of_proxies,
        seconds=_SECONDS,
        namespace=NAMESPACE,
        what="the proxies' Service",
    )
    address = text(service, "spec", "clusterIP")
    balancer: Value = {"status": {"loadBalancer": {"ingress": [{"ip": BALANCER}]}}}
    cluster.patch(_SERVICE, text(service, "metadata", "name"), balancer, NAMESPACE, part="status")
    publish(cluster, folder)
    cluster.wait_for(_GATEWAYS, _is_programmed, seconds=_SECONDS, what="the Gateway")
    return Entrance(address, 443, f"torchserve.{DOMAIN}")


def certify(cluster: Api) -> str:
    """Give the gateway a new certificate, as cert-manager does; return it as PEM."""
    certificate, key = (each.decode() for each in pki.self_signed([f"*.{DOMAIN}"]))
    secret: Value = {"name": "torchserve-tls", "namespace": NAMESPACE}
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": secret,
            "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": certificate, "tls.key": key},
        }
    )
    return certificate


def _service_of_proxies(services: list[Value]) -> Value | None:
    owned = (each for each in services if text(each, "metadata", "labels", _OWNER) == _GATEWAY)
    return next(owned, None)


def _is_programmed(gateways: list[Value]) -> bool:
    return any(
        text(condition, "type") == "Programmed" and text(condition, "status") == "True"
        for gateway in gateways
        for condition in items(gateway, "status", "conditions")
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
