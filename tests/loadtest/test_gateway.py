"""The Gateway target, against a real HTTP server that answers as an API server does.

Simulated here: the cluster. What is real: the kubernetes client, its kubeconfig, the sockets.
tests/e2e/test_figures.py asks a real API server for the pods' figures.
"""

import base64
import hashlib
import json
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml
from websocket import ABNF, frame_buffer

from harness import loadtest
from harness.core.errors import HarnessError
from harness.loadtest import gateway
from harness.prometheus import client as prometheus
from tests.loadtest.cases import profile

COMMIT = "0123456789abcdef0123456789abcdef01234567"
GATEWAY_API = "/apis/gateway.networking.k8s.io/v1/namespaces"
METRICS = 'ts_inference_requests_total{model_name="m"} %d\nlauncher_queue_depth{model_name="m"} 1\n'


def _release(name: str) -> dict[str, object]:
    latest = {"version": 3, "chartVersion": "1.0.0", "configDigest": "sha256:1"}
    return {"metadata": {"name": name}, "status": {"history": [latest]}}


def route(name: str, host: str, service: str, path: str) -> dict[str, object]:
    """A route of a group, as the API server has it."""
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": path}} if path else {}],
        "backendRefs": [{"name": service, "port": 8080}],
    }
    parent = {"name": "gw", "namespace": "envoy-gateway-system", "sectionName": "http"}
    return {
        "metadata": {"name": name, "namespace": "torchserve"},
        "spec": {"hostnames": [host], "parentRefs": [parent], "rules": [rule]},
    }


class Cluster:
    """What the API server holds; a test changes it as a cluster would change."""

    def __init__(self, address: str) -> None:
        host, _, port = address.partition(":")
        self.commits = [COMMIT]  # one for each request; the last one stays
        self.templates = ["aaa", "aaa"]
        self.addresses = [{"type": "IPAddress", "value": host}]
        self.scrapes = 0
        self.forwards = True  # whether the caller has the right to
        self.refused = ""  # what a pod answers instead of its figures
        self.listeners = [
            {"name": "https", "protocol": "HTTPS", "port": 443, "hostname": "*.example.com"},
            {"name": "http", "protocol": "HTTP", "port": int(port)},
        ]
        self.groups = ["torchserve"]
        self.grpc_routes: list[dict[str, object]] = []
        self.route: dict[str, object] = {
            "metadata": {"name": "torchserve", "namespace": "torchserve"},
            "spec": {
                "hostnames": ["torchserve.example.com"],
                "parentRefs": [
                    {"name": "gw", "namespace": "envoy-gateway-system", "sectionName": "http"}
                ],
            },
        }

        self.routes = [self.route]
        self.federated: str | None = None  # what Prometheus knows; None: there is none

    def answer(self, path: str, selector: str) -> object:
        """The object or list at a path, or None."""
        if path.endswith("/kustomizations/torchserve"):
            commit = self.commits.pop(0) if len(self.commits) > 1 else self.commits[0]
            return {"status": {"lastAppliedRevision": f"main@sha1:{commit}"}}
        return {
            f"{GATEWAY_API}/torchserve/httproutes": {"items": self.routes},
            f"{GATEWAY_API}/torchserve/grpcroutes": {"items": self.grpc_routes}
            if self.grpc_routes
            else None,
            f"{GATEWAY_API}/envoy-gateway-system/gateways/gw": {
                "metadata": {"name": "gw", "namespace": "envoy-gateway-system"},
                "spec": {"listeners": self.listeners},
                "status": {"addresses": self.addresses},
            },
            "/apis/helm.toolkit.fluxcd.io/v2/namespaces/flux-system/helmreleases": {
                "items": [_release(name) for name in self.groups]
            },
            "/api/v1/pods": {
                "items": list(self._pods(selector.split(",", maxsplit=1)[0].partition("=")[2]))
            },
        }.get(path)

    def figures(self, port: int) -> tuple[int, str]:
        """What a pod answers at a port of its loopback: the status, and the text."""
        if port == prometheus.PORT:
            return 200, self.federated or ""
        if self.refused:
            return 500, self.refused
        self.scrapes += 1
        dcgm = "DCGM_FI_DEV_GPU_UTIL 70\nDCGM_FI_DEV_FB_USED 2048\n"
        return 200, dcgm if port == 9400 else METRICS % (10 * self.scrapes)

    def _pods(self, app: str) -> Iterator[dict[str, object]]:
        nodes = ["gpu-0", "gpu-1", "elsewhere"] if app == "dcgm-exporter" else ["gpu-0", "gpu-1"]
        for number, node in enumerate(nodes):
            template = "" if app == "dcgm-exporter" else self.templates[number]
            labels = {"app.kubernetes.io/name": app, "pod-template-hash": template}
            yield {
                "metadata": {"name": f"{app}-{number}", "namespace": "any", "labels": labels},
                "spec": {"nodeName": node, "containers": []},
                "status": {
                    "phase": "Running",
                    "containerStatuses": [
                        {
                            "name": "main",
                            "image": "",
                            "imageID": "",
                            "ready": True,
                            "restartCount": 0,
                        }
                    ],
                },
            }


@pytest.fixture
def cluster(stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster whose gateway is the stub server; KUBECONFIG leads to it."""
    state = Cluster(urlsplit(stub).netloc)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path.endswith("/portforward"):
                self._forward(int(parse_qs(url.query)["ports"][0]))
                return
            answer = state.answer(
                unquote(url.path), parse_qs(url.query).get("labelSelector", [""])[0]
            )
            body = answer if isinstance(answer, str) else json.dumps(answer or {"kind": "Status"})
            self.send_response(200 if answer else 404)
            kind = "text/plain" if isinstance(answer, str) else "application/json"
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def _forward(self, port: int) -> None:
            """One request to a pod's port, over the two channels of the kubelet's protocol."""
            if not state.forwards:
                self.send_error(403)
                return
            if port == prometheus.PORT and state.federated is None:
                self.send_error(404)
                return
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accepted = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()  # noqa: S324
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", accepted)
            self.send_header("Sec-WebSocket-Protocol", "v4.channel.k8s.io")
            self.end_headers()
            for channel in (b"\0", b"\1"):
                self._send(channel + struct.pack("<H", port))
            request = frame_buffer(self.connection.recv, True).recv_frame().data
            path = b"/federate?match" if port == prometheus.PORT else b"/metrics "
            assert request.startswith(b"\0GET " + path)
            status, text = state.figures(port)
            head = (
                f"HTTP/1.1 {status} {'OK' if status == 200 else 'No'}\r\nConnection: close\r\n\r\n"
            )
            self._send(b"\0" + (head + text).encode())
            self.connection.sendall(ABNF(1, 0, 0, 0, ABNF.OPCODE_CLOSE, 0, b"\3\xe8").format())
            self.close_connection = True

        def _send(self, data: bytes) -> None:
            self.connection.sendall(ABNF(1, 0, 0, 0, ABNF.OPCODE_BINARY, 0, data).format())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "staging",
            "contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [
                {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
            ],
            "users": [{"name": "u", "user": {}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield state
        server.shutdown()


DIGESTS = {COMMIT: "d" * 64}
LENIENT = {"lateness": 500, "drift": 100, "generatorCpu": 1}


def test_the_load_goes_through_the_gateway_and_the_figures_come_from_every_pod(
    cluster: Cluster, tmp_path: Path
) -> None:
    target = gateway.find("rest", DIGESTS.get)
    echo = {"name": "echo", "path": "/echo", "contains": "Host: torchserve.example.com\r\n"}
    hold = {"kind": "hold", "seconds": 4, "rate": 50}
    load = profile(mix=[{"request": echo}], stages=[hold], judge=LENIENT)
    report = loadtest.run(load, target, {}, tmp_path / "out")
    assert (report.verdict, report.failures) == ("pass", 0)
    assert report.target.gateway == "staging"
    assert report.release
    assert (report.release.commit, report.release.digest) == (COMMIT, DIGESTS[COMMIT])
    assert report.server
    assert report.server.pods == [
        "dcgm-exporter-0",
        "dcgm-exporter-1",
        "torchserve-0",
        "torchserve-1",
    ]
    assert (report.server.gpu_util, report.server.gpu_memory) == (70.0, 4096.0)
    assert report.server.models["m"].queue_depth == 2.0
    assert report.server.models["m"].arrivals > 0


def test_pods_that_give_no_figures_are_named_and_the_verdict_stays(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.refused = "no"
    target = gateway.find("rest", DIGESTS.get)
    report = loadtest.run(profile(judge=LENIENT), target, {}, tmp_path / "out")
    assert report.verdict == "pass"
    assert report.server is None
    assert sorted(each.source for each in report.unread) == [
        "dcgm-exporter-0",
        "dcgm-exporter-1",
        "torchserve-0",
        "torchserve-1",
    ]
    assert report.unread[0].why == "any/torchserve-0:8090: HTTP 500 No"
    assert "torchserve-0:8090: HTTP 500 No" in (tmp_path / "out" / "report.html").read_text()


def test_a_right_that_is_missing_is_the_reason(cluster: Cluster) -> None:
    cluster.forwards = False
    reading = gateway.KubernetesCluster(DIGESTS.get).metrics()
    assert reading.texts == {}
    assert "403" in reading.unread["torchserve-0"]


def test_figures_come_from_a_prometheus_that_scrapes_every_server(cluster: Cluster) -> None:
    sample = 'launcher_queue_depth{{group="torchserve",model_name="m",pod="{}"}} 3 1764400000000\n'
    pods = ["torchserve-0", "torchserve-1", "torchserve-of-before"]
    cluster.federated = "# TYPE launcher_queue_depth untyped\n" + "".join(map(sample.format, pods))
    view = gateway.KubernetesCluster(DIGESTS.get)
    reading = view.metrics()
    assert (reading.source, reading.seconds) == ("Prometheus", 15)
    assert reading.texts == {each: sample.format(each) for each in pods[:2]}
    assert set(reading.unread) == {"dcgm-exporter-0", "dcgm-exporter-1"}
    assert cluster.scrapes == 0
    cluster.federated = sample.format(pods[0])  # a server is not scraped any more
    assert view.metrics().source == "pods"
    assert cluster.scrapes == 4
    cluster.federated = "".join(map(sample.format, pods))
    assert view.metrics().source == "pods", "it stays with the pods"


def test_a_roll_out_changes_the_release_and_scaling_does_not(cluster: Cluster) -> None:
    target = gateway.find("rest", DIGESTS.get)
    before = target.release()
    cluster.templates = ["aaa", "bbb"]
    assert target.release() != before
    cluster.templates = ["aaa", "aaa"]
    assert target.release() == before


def test_a_new_commit_during_the_run_makes_it_invalid(cluster: Cluster, tmp_path: Path) -> None:
    target = gateway.find("rest", DIGESTS.get)
    cluster.commits = ["aaaa", "bbbb"]
    report = loadtest.run(profile(judge=LENIENT), target, {}, tmp_path / "out")
    assert report.verdict == "invalid"
    assert report.reasons[0].startswith("release: ")
    assert report.release
    assert report.release.commit == "bbbb"


def test_the_named_listener_decides(cluster: Cluster) -> None:
    cluster.route["spec"]["parentRefs"][0]["sectionName"] = "https"  # type: ignore[index]
    target = gateway.find("rest", DIGESTS.get)
    assert target.url.startswith("https://127.0.0.1:443")
    assert target.host == "torchserve.example.com"


def test_a_gateway_without_an_address_is_said(cluster: Cluster) -> None:
    cluster.addresses = []
    with pytest.raises(HarnessError, match="Gateway gw has no address yet"):
        gateway.find("rest", DIGESTS.get)


def test_the_first_groups_route_names_the_host_among_those_of_others(cluster: Cluster) -> None:
    cluster.routes = [route("vision-models", "x.example.com", "vision", "/predictions/m")]
    cluster.routes += [cluster.route]
    assert gateway.find("rest", DIGESTS.get).host == "torchserve.example.com"


def test_routes_of_which_none_is_the_first_groups_are_said(cluster: Cluster) -> None:
    cluster.routes = [route("a", "a.example.com", "a", "/"), route("b", "b.example.com", "b", "/")]
    with pytest.raises(HarnessError, match="2 httproutes in namespace torchserve, none"):
        gateway.find("rest", DIGESTS.get)


def test_a_models_grpc_host_is_its_groups(cluster: Cluster) -> None:
    cluster.routes += [
        route("torchserve-models", "torchserve.example.com", "torchserve", "/predictions/cat"),
        route("vision-models", "torchserve.example.com", "vision", "/predictions/a%20b"),
    ]
    cluster.grpc_routes = [
        route("torchserve", "torchserve-grpc.example.com", "torchserve", ""),
        route("vision-models", "vision.torchserve-grpc.example.com", "vision", ""),
    ]
    target = gateway.find("grpc", DIGESTS.get)
    assert target.host == "torchserve-grpc.example.com"
    assert {group.name: (group.models, group.grpc_host) for group in target.groups} == {
        "torchserve": ({"cat"}, "torchserve-grpc.example.com"),
        "vision": ({"a b"}, "vision.torchserve-grpc.example.com"),
    }


def test_a_models_group_is_the_service_that_its_path_leads_to(cluster: Cluster) -> None:
    cluster.routes += [
        route("torchserve-models", "torchserve.example.com", "torchserve", "/predictions/cat"),
        route("vision-models", "torchserve.example.com", "vision", "/v1/models/dog:predict"),
    ]
    target = gateway.find("rest", DIGESTS.get)
    paths = ["/predictions/cat/1.0", "/explanations/dog", "/predictions/cats", "/ping"]
    names = [group and group.name for group in map(target.group_of, paths)]
    assert names == ["torchserve", "vision", None, None]


def test_the_release_of_every_group_is_part_of_what_runs(cluster: Cluster) -> None:
    one = gateway.find("rest", DIGESTS.get).release()
    cluster.groups = ["vision", "torchserve"]
    two = gateway.find("rest", DIGESTS.get).release()
    assert one
    assert one.helm == "version=3 chartVersion=1.0.0 configDigest=sha256:1"
    assert two
    assert two.helm == f"torchserve: {one.helm}; vision: {one.helm}"


def test_no_route_is_said(cluster: Cluster) -> None:
    with pytest.raises(HarnessError, match="404"):
        gateway.find("grpc", DIGESTS.get)


def test_no_cluster_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(HarnessError, match="no cluster to load"):
        gateway.find("rest", DIGESTS.get)
