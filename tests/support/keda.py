"""KEDA at the API server of a local cluster: its real operator and its adapter, as processes.

with keda.running(checkout, cluster, folder):
    ...  # ScaledObjects become HorizontalPodAutoscalers, whose controller asks the adapter
"""

import contextlib
import os
import shutil
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

from harness import tools
from harness.core.repository import Repository
from harness.core.values import items, text
from harness.kubernetes.api import Kind
from harness.local_cluster import install, pki
from harness.local_cluster.local import LocalCluster
from tests.support import go_module, prometheus
from tests.support.processes import free_ports

SCALED_OBJECT = Kind("keda.sh/v1alpha1", "ScaledObject")
API_SERVICE = Kind("apiregistration.k8s.io/v1", "APIService")
_NAMESPACE, _SERVICE = "keda", "keda-operator-metrics-apiserver"
_API = "v1beta1.external.metrics.k8s.io"
_SECONDS = 60.0  # for the API server to find the adapter; it takes eight


@contextlib.contextmanager
def running(repository: Repository, cluster: LocalCluster, folder: Path) -> Iterator[None]:
    """The operator and the adapter, with infra/keda's settings, as the cluster's administrator."""
    kinds = go_module.definitions(repository, "keda-operator", "config/crd/bases")
    install.install(cluster.api, list(kinds), seconds=_SECONDS)
    certificates = _certificates(folder / "keda")
    adapter, operator, *others = free_ports(6)
    common = {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig),
        "WATCH_NAMESPACE": "torchserve",
        "POD_NAMESPACE": _NAMESPACE,
        "KEDA_CLUSTER_OBJECT_NAMESPACE": _NAMESPACE,
        "KEDA_RESTRICT_SECRET_ACCESS": "true",
    }
    argv: list[str | Path] = [tools.find(repository, "keda-operator")]
    argv += [f"--cert-dir={certificates}", "--enable-cert-rotation=false"]
    argv += [f"--metrics-bind-address=127.0.0.1:{others[0]}"]
    argv += [f"--health-probe-bind-address=127.0.0.1:{others[1]}"]
    argv += [f"--metrics-service-bind-address=127.0.0.1:{operator}"]
    serving: list[str | Path] = [tools.find(repository, "keda-adapter")]
    serving += [
        f"--{each}-kubeconfig={cluster.kubeconfig}"
        for each in ("lister", "authentication", "authorization")
    ]
    serving += ["--bind-address=127.0.0.1", f"--secure-port={adapter}", f"--port={others[2]}"]
    serving += [f"--metrics-service-address=localhost:{operator}", f"--cert-dir={certificates}"]
    serving += [f"--tls-{each}-file={certificates / name}" for each, name in _TLS.items()]
    serving += [f"--client-ca-file={certificates / 'ca.crt'}"]
    with (
        prometheus.program(argv, folder / "keda-operator.log", folder, common),
        prometheus.program(serving, folder / "keda-adapter.log", folder, common),
    ):
        _announce(cluster, adapter, (certificates / "ca.crt").read_bytes())
        yield


_TLS = {"cert": "tls.crt", "private-key": "tls.key"}


def _certificates(folder: Path) -> Path:
    """What the chart's operator would make: an authority, and a certificate of both programs."""
    names = ("localhost", f"{_SERVICE}.{_NAMESPACE}.svc")
    pki.write(folder, "https://127.0.0.1", names)
    for part in ("crt", "key"):
        shutil.copy(folder / f"server.{part}", folder / f"tls.{part}")
    return folder


def _announce(cluster: LocalCluster, port: int, authority: bytes) -> None:
    """Have the API server pass external metrics on to the adapter, and wait until it does."""
    api = cluster.api
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}})
    # An endpoint on loopback is none that Kubernetes takes; a name that leads there is.
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": _SERVICE, "namespace": _NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }
    )
    group, version = "external.metrics.k8s.io", "v1beta1"
    api.apply(
        {
            "apiVersion": API_SERVICE.api_version,
            "kind": API_SERVICE.name,
            "metadata": {"name": _API},
            "spec": {
                "group": group,
                "version": version,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": b64encode(authority).decode(),
                "service": {"name": _SERVICE, "namespace": _NAMESPACE, "port": port},
            },
        }
    )

    def available(services: list[object]) -> bool:
        return any(
            text(each, "metadata", "name") == _API
            and any(
                text(condition, "type") == "Available" and text(condition, "status") == "True"
                for condition in items(each, "status", "conditions")
            )
            for each in services
        )

    api.wait_for(API_SERVICE, available, seconds=_SECONDS, what=f"the API service {_API}")
