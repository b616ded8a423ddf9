"""Flagger at the API server of a local cluster: the real program, with infra/canary's settings.

with flagger.running(checkout, cluster, prometheus.url, folder):
    ...  # a Canary makes its primary, and takes changes to it step by step
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, dig, mapping, text
from harness.kubernetes.api import Kind
from harness.local_cluster import install
from harness.local_cluster.local import LocalCluster
from harness.schema import catalog
from tests.support import prometheus
from tests.support.processes import free_ports

CANARY = Kind("flagger.app/v1beta1", "Canary")
HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute")
_COMPONENT = Path("infra/canary")
_CRDS = ("flagger@*", "gateway-api@*")
_SECONDS = 60.0


@contextlib.contextmanager
def running(
    repository: Repository, cluster: LocalCluster, url: str, folder: Path
) -> Iterator[None]:
    """Flagger as the cluster's administrator, asking the Prometheus at ``url``."""
    release = next(
        each
        for each in _documents(repository, "controllers/flagger.yaml")
        if text(each, "kind") == "HelmRelease"
    )
    values = mapping(release, "spec", "values")
    (port,) = free_ports(1)
    argv: list[str | Path] = [
        tools.find(repository, "flagger"),
        f"-kubeconfig={cluster.kubeconfig}",
    ]
    argv += [f"-port={port}", f"-metrics-server={url}", "-log-level=info"]
    argv += [f"-mesh-provider={text(values, 'meshProvider')}"]
    argv += [f"-namespace={text(values, 'namespace')}"]
    argv += [f"-selector-labels={text(values, 'selectorLabels')}"]
    argv += [f"-include-label-prefix={text(values, 'includeLabelPrefix')}"]
    tracking = dig(values, "configTracking", "enabled")
    argv += [f"-enable-config-tracking={str(tracking).lower()}"]
    argv += [f"-no-cross-namespace-refs={str(dig(values, 'noCrossNamespaceRefs')).lower()}"]
    # Of its chart's ten seconds, so that nobody waits.
    argv += ["-control-loop-interval=2s"]
    with prometheus.program(argv, folder / "flagger.log", folder):
        yield


def reasons(log: str) -> str:
    """What its log says of the last change: of many events Kubernetes keeps the last one."""
    messages = [text(json.loads(line), "msg") for line in log.splitlines() if line.startswith("{")]
    return "\n".join(messages).rpartition("New revision detected!")[2]


def kinds(repository: Repository, cluster: LocalCluster) -> None:
    """Have the cluster serve what the component and the group's route are made of."""
    crds = catalog.find(repository) / catalog.CRDS
    definitions = [each for pattern in _CRDS for each in install.definitions(crds, pattern)]
    install.install(cluster.api, definitions, seconds=_SECONDS)


def templates(repository: Repository, cluster: LocalCluster, url: str) -> None:
    """The component's MetricTemplates, with another Prometheus."""
    for each in _documents(repository, "configs/metrictemplate.yaml"):
        spec = {**mapping(each, "spec"), "provider": {"type": "prometheus", "address": url}}
        cluster.api.apply({**each, "spec": spec})


def _documents(repository: Repository, file: str) -> list[Value]:
    content = (repository.root / _COMPONENT / file).read_text()
    return [mapping(each) for each in yaml.safe_load_all(content)]
