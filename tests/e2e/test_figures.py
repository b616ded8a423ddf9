"""The load test reads the servers' figures where a NetworkPolicy is enforced.

Real: the API server and both of its ways to a pod, the pod's network namespace, the packets, and
a filter there which does what an enforcer makes of this repository's policies for an API server's
address: none of them names it, so whatever it begins is dropped. Played: the kubelet, by a kwok
that connects inside the namespace to its loopback, as container runtimes do.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

from harness.core.repository import Repository
from harness.core.values import Value, text
from harness.kubernetes import kinds
from harness.loadtest.gateway import KubernetesCluster
from harness.local_cluster import local
from harness.local_cluster.local import LocalCluster
from tests.e2e import kubelet

NAMESPACE, POD, PORT = "torchserve", "torchserve-figures", 8090
CIDR, HOST = "198.51.100.1/24", "198.51.100.254"  # of documentation (RFC 5737)
FIGURES = 'launcher_queue_depth{model_name="m"} 3\n'
SERVE = f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", {len(FIGURES)})
        self.end_headers()
        self.wfile.write({FIGURES.encode()!r})
server = http.server.ThreadingHTTPServer(("", {PORT}), Handler)
print("listens", flush=True)
server.serve_forever()
"""
POLICY = """
table inet pod {
  chain inward {
    type filter hook input priority filter; policy drop;
    iif lo accept
    ct state established,related accept
  }
}
"""


class PodNetwork:
    """A network namespace that this machine reaches as a node reaches its pods."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inside = ("ip", "netns", "exec", name)

    def begin(self) -> None:
        _run("ip", "netns", "add", self.name)
        _run("ip", "-n", self.name, "link", "set", "lo", "up")

    def connect(self, address: str) -> None:
        """Give the namespace the address of a pod."""
        outside, ip = self.name, ("ip", "-n", self.name)
        _run("ip", "link", "add", outside, "type", "veth", "peer", "eth0", "netns", self.name)
        _run("ip", "address", "add", f"{HOST}/32", "dev", outside)
        _run("ip", "link", "set", outside, "up")
        _run("ip", "route", "add", f"{address}/32", "dev", outside, "src", HOST)
        _run(*ip, "address", "add", f"{address}/32", "dev", "eth0")
        _run(*ip, "link", "set", "eth0", "up")
        _run(*ip, "route", "add", f"{HOST}/32", "dev", "eth0")

    def enforce(self, rules: str) -> None:
        _run(*self.inside, "nft", "-f", "-", text=rules)

    def end(self) -> None:
        _run("ip", "netns", "del", self.name)
        # The cable goes with it, but only when the last process in it has ended.
        subprocess.run(("ip", "link", "del", self.name), capture_output=True, timeout=30)


def _run(*argv: str, text: str = "") -> None:
    subprocess.run(argv, input=text, text=True, check=True, timeout=30, capture_output=True)


@pytest.fixture(scope="module")
def network() -> Iterator[PodNetwork]:
    lacking = [name for name in ("ip", "nft") if not shutil.which(name)]
    if os.geteuid() or lacking:
        pytest.skip(
            "network namespaces and a packet filter take root"
            + (f", and {' and '.join(lacking)}" if lacking else "")
        )
    pod_network = PodNetwork(f"figures{os.getpid()}")
    pod_network.begin()
    yield pod_network
    pod_network.end()


@pytest.fixture(scope="module")
def cluster(checkout: Repository, network: PodNetwork) -> Iterator[LocalCluster]:
    relay = (*network.inside, sys.executable, "-c", kubelet.RELAY, str(PORT))
    with (
        local.running(checkout, "figures", with_flux=False) as cluster,
        kubelet.running(cluster, f"--cidr={CIDR}", forward={PORT: relay}),
    ):
        yield cluster


@pytest.fixture(scope="module")
def pod(cluster: LocalCluster, network: PodNetwork) -> Iterator[Value]:
    """A pod that answers in its network namespace, at the address that the API server knows."""
    for name, kind in ((NAMESPACE, "Namespace"), ("default", "ServiceAccount")):
        metadata = {"name": name} | ({"namespace": NAMESPACE} if kind != "Namespace" else {})
        cluster.api.apply({"apiVersion": "v1", "kind": kind, "metadata": metadata})
    _create(cluster, POD, "torchserve")

    def running(pods: list[Value]) -> Value | None:
        return next((pod for pod in pods if text(pod, "status", "podIP")), None)

    running_pod = cluster.api.wait_for(kinds.POD, running, seconds=30, namespace=NAMESPACE)
    network.connect(text(running_pod, "status", "podIP"))
    argv = (*network.inside, sys.executable, "-c", SERVE)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "listens\n"
        yield running_pod
        server.kill()


def _create(cluster: LocalCluster, name: str, app: str) -> None:
    labels = {"app.kubernetes.io/name": app, "app.kubernetes.io/component": "server"}
    cluster.api.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "spec": {"nodeName": kubelet.NODE, "containers": [{"name": app, "image": "none"}]},
        }
    )


def by_proxy(cluster: KubernetesCluster) -> str:
    """The figures by the API server's own connection to the pod's address."""
    core = cluster._core
    return str(
        core.connect_get_namespaced_pod_proxy_with_path(
            f"{POD}:{PORT}", NAMESPACE, "metrics", _request_timeout=3
        )
    )


def test_figures_arrive_where_policies_shut_the_api_server_out(
    cluster: LocalCluster, pod: Value, network: PodNetwork
) -> None:
    cluster_view = KubernetesCluster({}.get, kubeconfig=cluster.kubeconfig)
    assert FIGURES.strip() in by_proxy(cluster_view), "without a policy both ways are open"
    network.enforce(POLICY)
    with pytest.raises((ApiException, HTTPError)):
        by_proxy(cluster_view)
    reading = cluster_view.metrics()
    assert (reading.texts, reading.unread) == ({POD: FIGURES}, {})


def test_pod_that_cannot_be_read_is_named_beside_those_that_can(
    cluster: LocalCluster, pod: Value
) -> None:
    _create(cluster, "dcgm-exporter", "dcgm-exporter")
    cluster_view = KubernetesCluster({}.get, kubeconfig=cluster.kubeconfig)

    def both_run(_: list[Value]) -> bool:
        return len([each for each in cluster_view._pods() if each.status.phase == "Running"]) == 2

    cluster.api.wait_for(kinds.POD, both_run, seconds=30, namespace=NAMESPACE)
    reading = cluster_view.metrics()
    assert reading.texts == {POD: FIGURES}
    assert list(reading.unread) == ["dcgm-exporter"]
    assert ":9400: " in reading.unread["dcgm-exporter"]
