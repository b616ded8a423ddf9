"""Two reports compared."""

import json
import math
import random
from pathlib import Path

import pytest

from harness.core.errors import InputError
from harness.loadtest import Report, compare, histogram


def report(median: float, *, seed: int, failures: int = 0, seconds: int = 60) -> Report:
    """A report of 50 requests/s with log-normal latencies around ``median`` ms."""
    draw = random.Random(seed)  # noqa: S311 - latencies, not secrets
    timeline = []
    for second in range(seconds):
        values = histogram.empty()
        for _ in range(50):
            histogram.record(values, int(median * 1000 * math.exp(draw.gauss(0, 0.3))))
        part = {"due": 50, "answered": 50, "failures": failures, "dropped": 0}
        part |= {"p50": 1.0, "p99": 1.0, "max": 1.0, "histogram": histogram.encode(values)}
        timeline.append({"t": float(second), "judged": True, "names": {"m": part}})
    none = dict.fromkeys(("p50", "p90", "p95", "p99", "p99_9", "max"))
    counts = {"requests": 1, "failures": 0, "wrong_answers": 0, "dropped": 0}
    both = {"offered_rps": 50.0, "achieved_rps": 50.0, "latency_ms": none, "service_ms": none}
    whole = {
        "verdict": "pass",
        "reasons": [],
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": float(seconds),
        "judged_seconds": float(seconds),
        "target": {"url": "http://x", "host": None, "protocol": "rest", "gateway": None},
        "embedded": True,
        "profile": {"path": None, "sha256": "same", "content": {}},
        "release": None,
        "lateness_ms": none,
        "slo": [],
        "confidence": {"level": 0.99, "sufficient": True, "steady": True},
        "checks": [],
        "mix": [counts | both | {"name": "m", "model": "m", "histogram": ""}],
        "stages": [],
        "failure_groups": [],
        "server": None,
        "generator": {
            "processes": 1,
            "cpu_max": 0.1,
            "in_flight_max": 1,
            "machine": "",
            "versions": {},
        },
        "bin_seconds": 1.0,
        "timeline": timeline,
    }
    return Report.model_validate_json(json.dumps(whole | counts | both))


@pytest.mark.parametrize("seed", range(5))
def test_the_same_server_twice_is_not_worse(seed: int) -> None:
    comparison = compare.compare(report(20, seed=seed), report(20, seed=seed + 100))
    assert comparison.verdict != "fail"


def test_a_fifth_slower_is_worse_and_the_interval_holds_it() -> None:
    comparison = compare.compare(report(20, seed=1), report(24, seed=2))
    p50 = next(row for row in comparison.rows if row.metric == "p50")
    assert comparison.verdict == "fail"
    assert p50.judgement == "worse"
    assert p50.low < 0.2 < p50.high


def test_a_fifth_faster_is_better() -> None:
    comparison = compare.compare(report(24, seed=1), report(20, seed=2))
    assert comparison.verdict == "pass"
    assert comparison.rows[0].judgement == "better"


def test_more_failures_are_worse() -> None:
    comparison = compare.compare(report(20, seed=1), report(20, seed=2, failures=2))
    assert comparison.rows[-1].judgement == "worse"
    assert comparison.rows[-1].b == pytest.approx(0.04)


def test_a_tolerance_allows_what_it_says() -> None:
    comparison = compare.compare(report(20, seed=1), report(24, seed=2), tolerance=0.5)
    assert comparison.verdict == "pass"
    assert "B is not worse" in compare.text(comparison)


def test_other_profiles_and_short_runs_are_refused() -> None:
    first = report(20, seed=1)
    profile = first.profile.model_copy(update={"sha256": "other"})
    with pytest.raises(InputError, match="different profiles"):
        compare.compare(first, first.model_copy(update={"profile": profile}))
    with pytest.raises(InputError, match="8 are needed"):
        compare.compare(report(20, seed=1, seconds=4), report(20, seed=1))


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text('{"schema_version": 2}')
    with pytest.raises(InputError, match=r"report\.json: not a report of version 1"):
        Report.read(path)
