"""What a collector gets, and what becomes of spans while it is away."""

import pytest

from harness.trace_export.__main__ import resource
from harness.trace_export.exporter import Exporter
from tests.support.collector import Collector, collecting
from tests.support.processes import eventually

SPAN = {"traceId": f"{1:032x}", "spanId": f"{2:016x}", "name": "batch"}


def send(collector: Collector, count: int) -> tuple[Exporter, list[str]]:
    log: list[str] = []
    exporter = Exporter(collector.url + "/", {"service.name": "ranker"}, log.append)
    exporter.put([SPAN] * count)
    exporter.close(10)
    return exporter, log


def test_spans_arrive_with_who_they_are_from() -> None:
    with collecting() as collector:
        exporter, log = send(collector, 3)
    assert (len(collector.spans), exporter.sent, exporter.dropped, log) == (3, 3, 0, [])
    assert collector.resources == [{"service.name": "ranker"}]


def test_spans_travel_together() -> None:
    with collecting() as collector:
        send(collector, 1_000)
    assert (len(collector.spans), collector.calls) == (1_000, 2)


def test_without_room_spans_are_dropped_and_counted() -> None:
    with collecting() as collector:
        exporter, log = send(collector, 3_000)
    assert (len(collector.spans), exporter.dropped) == (2_048, 952)
    assert log == ["952 spans dropped so far"]


def test_a_busy_collector_is_asked_once_more() -> None:
    log: list[str] = []
    with collecting() as collector:
        collector.statuses = [503]
        exporter = Exporter(collector.url, {}, log.append)
        exporter.put([SPAN])
        eventually(lambda: collector.spans)
        exporter.close(10)
    assert (len(collector.spans), collector.calls, log) == (1, 2, [])


def test_spans_that_a_collector_refuses_are_not_sent_again() -> None:
    with collecting() as collector:
        collector.statuses = [400]
        exporter, log = send(collector, 2)
    assert (collector.calls, exporter.dropped) == (1, 2)
    assert log[0].startswith("2 spans not sent to http://127.0.0.1:")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, {"service.name": "torchserve"}),
        ({"OTEL_SERVICE_NAME": "ranker"}, {"service.name": "ranker"}),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,k8s.pod.name=p%20q, bad"},
            {"service.name": "a", "k8s.pod.name": "p q"},
        ),
    ],
    ids=["none", "name", "attributes"],
)
def test_the_resource_is_what_opentelemetrys_variables_say(
    env: dict[str, str], expected: dict[str, str]
) -> None:
    attributes = resource(env)
    assert attributes.pop("host.name")
    assert attributes == expected
