"""Requests that ask to be traced, and the slowest of them in the report."""

import itertools
from pathlib import Path

import pytest

from harness import loadtest
from harness.loadtest import Report, Target, html, tracing
from tests.loadtest.cases import profile

LENIENT = {"lateness": 500, "drift": 100, "generatorCpu": 1}


def run(stub: str, folder: Path, **keys: object) -> Report:
    load = profile(stages=[{"kind": "hold", "seconds": 1, "rate": 40}], judge=LENIENT, **keys)
    return loadtest.run(load, Target(stub), {}, folder)


def echo(contains: str, **keys: object) -> list[dict[str, object]]:
    return [{"request": {"name": "echo", "path": "/echo", "contains": contains, **keys}}]


@pytest.mark.parametrize(
    ("fraction", "every"), [(1.0, 1), (0.5, 2), (0.1, 10), (0.01, 100)], ids=str
)
def test_the_fraction_that_is_traced_is_spread_evenly(fraction: float, every: int) -> None:
    sampled = [count for count in range(1, 1001) if tracing.is_sampled(count, fraction)]
    assert len(sampled) == 1000 // every
    assert {later - earlier for earlier, later in itertools.pairwise(sampled)} == {every}


def test_no_two_requests_of_any_generators_share_a_trace() -> None:
    numbers = [tracing.number(worker, count) for worker in range(8) for count in range(1, 50)]
    ids = {tracing.trace_id(tracing.new_run(), number) for number in numbers}
    assert len(ids) == len(numbers)
    assert {len(each) for each in ids} == {32}


def test_the_report_names_the_trace_of_the_header() -> None:
    version, trace, span, flags = tracing.traceparent("ab" * 8, 258, sampled=True).split("-")
    assert (version, trace, flags) == ("00", tracing.trace_id("ab" * 8, 258), "01")
    assert span == f"{258:016x}"


@pytest.mark.parametrize(
    ("keys", "mix"),
    [
        ({"traced": 1}, echo("-01\r\n")),
        ({"traced": 0.0001}, echo("-00\r\n")),
        ({"traced": 1}, echo("traceparent: mine", headers={"traceparent": "mine"})),
        ({"traced": 1, "arrivals": "constant"}, echo("traceparent: 00-")),
    ],
    ids=["all", "hardly any", "its own", "constant"],
)
def test_each_request_carries_a_traceparent(
    stub: str, tmp_path: Path, keys: dict[str, object], mix: list[dict[str, object]]
) -> None:
    report = run(stub, tmp_path, mix=mix, **keys)
    assert (report.failures, report.requests > 20) == (0, True), report.failure_groups


def test_without_traces_there_is_no_header(stub: str, tmp_path: Path) -> None:
    report = run(stub, tmp_path, mix=echo("traceparent"), traced=0)
    assert report.failures == report.requests
    assert report.slowest == []


def test_the_slowest_are_named_with_their_traces(stub: str, tmp_path: Path) -> None:
    mix = [
        {"request": {"name": "ok", "path": "/ok"}, "weight": 9},
        {"request": {"name": "slow", "path": "/slow/0.4"}},
    ]
    report = run(stub, tmp_path, mix=mix, traced=1, seed=3)
    slow = next(part.requests for part in report.mix if part.name == "slow")
    assert [each.name for each in report.slowest[: min(10, slow)]] == ["slow"] * min(10, slow)
    latencies = [each.latency_ms for each in report.slowest]
    assert latencies == sorted(latencies, reverse=True)
    assert len({each.trace_id[:16] for each in report.slowest}) == 1
    assert report.slowest[0].trace_id in html.render(report)
    assert Report.read(tmp_path / "report.json").slowest == report.slowest
