"""Spans of real requests to the real TorchServe, by the launcher with ``--traces``."""

import contextlib
import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from harness.loadtest.generator import rpc
from tests.launcher.conftest import Launcher, Site, starting
from tests.support.collector import Collector, collecting, plain
from tests.support.processes import PATIENCE, eventually

pytestmark = pytest.mark.torchserve

MS = 1_000_000


class Traced:
    """A launcher that sends spans to an imitation of a collector; requests have numbered traces."""

    def __init__(self, launcher: Launcher, collector: Collector) -> None:
        self.launcher, self.collector = launcher, collector
        self._last = 0

    def rest(self, body: bytes = b"ask", flags: str = "01") -> int:
        """The number of a trace, once its request was answered."""
        number, address = self._next(), ("127.0.0.1", self.launcher.site.http)
        headers = {"Content-Type": "application/octet-stream", "Traceparent": parent(number, flags)}
        with contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as call:
            call.request("POST", "/predictions/gated", body, headers)
            call.getresponse().read()
        return number

    def grpc(self, body: bytes = b"ask", *, as_input: bool = True) -> int:
        """The same over gRPC; the traceparent is an input, or else only metadata."""
        number = self._next()
        request, response = rpc.messages()
        inputs = {"data": body} | ({"traceparent": parent(number).encode()} if as_input else {})
        message = request(model_name="gated", input=inputs).SerializeToString()
        with grpc.insecure_channel(f"127.0.0.1:{self.launcher.site.grpc}") as channel:
            call = channel.unary_unary(rpc.METHOD, None, response.FromString)
            with contextlib.suppress(grpc.RpcError):
                call(message, timeout=PATIENCE, metadata=[("traceparent", parent(number))])
        return number

    def together(self, *calls: Any) -> list[int]:
        """Requests that wait in the queue at the same time, and so come into one batch."""
        site = self.launcher.site
        site.hold("hold-answers")
        with ThreadPoolExecutor(len(calls) + 1) as pool:
            pool.submit(self.launcher.predict)  # the worker has this one meanwhile
            eventually(lambda: self.launcher.gauge("launcher_batches_in_flight") == 1)
            answers = [pool.submit(call) for call in calls]
            queued = partial(self.launcher.gauge, "launcher_queue_depth")
            eventually(lambda: queued() == len(calls))
            site.release("hold-answers")
            return [answer.result() for answer in answers]

    def trace(self, number: int) -> dict[str, dict[str, Any]]:
        """The spans of a trace by name, once its server span has come."""
        trace = f"{number:032x}"

        def by_name() -> dict[str, dict[str, Any]]:
            spans = {s["name"]: s for s in self.collector.spans if s["traceId"] == trace}
            return spans if "torchserve gated" in spans else {}

        return eventually(by_name)

    def _next(self) -> int:
        self._last += 1
        return self._last


def parent(number: int, flags: str = "01") -> str:
    return f"00-{number:032x}-{number:016x}-{flags}"


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Iterator[Traced]:
    with collecting() as collector, starting() as start:
        site = Site(tmp_path_factory.mktemp("traced"), archive)
        launcher = start(site, "--traces", collector.url, OTEL_SERVICE_NAME="ranker")
        eventually(launcher.is_ready)
        yield Traced(launcher, collector)


def test_a_request_has_a_span_below_its_senders(traced: Traced) -> None:
    number = traced.rest()
    trace = traced.trace(number)
    assert set(trace) == {"torchserve gated", "queue", "batch", "handle", "encode"}
    server = trace["torchserve gated"]
    assert server["parentSpanId"] == f"{number:016x}"
    assert trace["queue"]["parentSpanId"] == trace["batch"]["parentSpanId"] == server["spanId"]
    assert traced.collector.resources[0]["service.name"] == "ranker"
    about = plain(server)
    assert about["http.response.status_code"] == "200"
    assert about["torchserve.derived"] is True


def test_requests_that_were_answered_together_link_to_their_batch(traced: Traced) -> None:
    numbers = traced.together(traced.rest, traced.rest, traced.grpc)
    servers = [traced.trace(number)["torchserve gated"] for number in numbers]
    batches = [traced.trace(number).get("batch") for number in numbers]
    (batch,) = filter(None, batches)
    assert plain(batch)["torchserve.batch.size"] == "3"
    others = [each for each in servers if each["traceId"] != batch["traceId"]]
    assert [each["spanId"] for each in batch["links"]] == [each["spanId"] for each in others]
    assert [each["links"][0]["spanId"] for each in others] == [batch["spanId"]] * 2


def test_the_time_in_the_queue_is_the_time_in_the_queue(traced: Traced) -> None:
    before = {span["spanId"] for span in traced.collector.spans_of("queue")}
    sums = partial(traced.launcher.gauge, "launcher_queue_seconds_sum")
    waited = sums()
    (number,) = traced.together(traced.rest)
    queue = traced.trace(number)["queue"]
    assert queue["spanId"] not in before
    took = (int(queue["endTimeUnixNano"]) - int(queue["startTimeUnixNano"])) / 1e9
    # The other request of the two found the worker idle, and waited for the batch's delay at most.
    assert took == pytest.approx(sums() - waited, abs=0.1)
    assert took > 0.05


def test_a_handler_that_raises_marks_its_spans(traced: Traced) -> None:
    numbers = traced.together(
        partial(traced.rest, b"bad"), partial(traced.grpc, b"bad"), partial(traced.rest, b"bad")
    )
    traces = [traced.trace(number) for number in numbers]
    assert [trace["torchserve gated"]["status"] for trace in traces] == [{"code": 2}] * 3
    (batch,) = [trace["batch"] for trace in traces if "batch" in trace]
    assert plain(batch)["error.type"] == "ValueError"
    codes = [plain(trace["torchserve gated"]) for trace in traces]
    assert codes[0]["http.response.status_code"] == "507"
    assert codes[1]["rpc.grpc.status_code"] == "13"


def test_what_its_sender_does_not_sample_is_not_recorded(traced: Traced) -> None:
    silent = [traced.rest(flags="00"), traced.grpc(as_input=False)]
    traced.trace(traced.rest())
    traces = {span["traceId"] for span in traced.collector.spans}
    assert traces.isdisjoint(f"{number:032x}" for number in silent)


def test_records_are_no_lines_of_the_log(traced: Traced) -> None:
    traced.trace(traced.rest())
    assert "[SPANS]" not in traced.launcher.stdout.read_text()


def test_log_lines_have_the_trace_of_their_request(traced: Traced) -> None:
    numbers = traced.together(traced.rest, traced.grpc, partial(traced.rest, flags="00"))
    numbers.append(traced.rest(b"print hello"))
    ids = [f"{number:032x}" for number in numbers]

    def loggers() -> dict[str, list[str]]:
        lines = [each for each in traced.launcher.records() if each.get("trace_id") in ids]
        by_id = {each: [x["logger"] for x in lines if x["trace_id"] == each] for each in ids}
        return by_id if by_id[ids[-1]].count("ACCESS_LOG") else {}

    by_id = eventually(loggers)
    assert by_id[ids[0]] == by_id[ids[1]] == ["ACCESS_LOG"]
    assert by_id[ids[2]] == [], "its sender does not sample it"
    assert by_id[ids[3]].count("MODEL_LOG") == by_id[ids[3]].count("ACCESS_LOG") == 1


def test_the_end_of_a_worker_ends_the_span_of_its_batch(traced: Traced) -> None:
    number = traced.rest(b"crash")
    trace = traced.trace(number)
    assert plain(trace["batch"])["error.type"] == "worker ended"
    assert plain(trace["torchserve gated"])["http.response.status_code"] == "500"
    eventually(traced.launcher.is_ready)
    assert "batch" in traced.trace(traced.rest())
