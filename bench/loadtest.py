"""The load generator: how fast one core sends on time, and whether its percentiles are true.

The peer is locust as it is usually run, in closed loop: the same process, client library and
machine, without the schedule.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import Figure
from harness import loadtest
from harness.core import command
from harness.loadtest import Profile, Report, Target
from tests.loadtest import stub_server

_RATES = (1000, 1500, 2000, 3000, 4000, 5000, 6000, 8000)
_RUNS = 3
_LATE = 5.0  # ms, of 99 % of the requests
_CLOSED = """
from locust import FastHttpUser, constant_throughput, task

class Closed(FastHttpUser):
    wait_time = constant_throughput({pace})
    @task
    def ask(self):
        self.client.get("/ok")
"""


def run() -> list[Figure]:
    """The highest rate sent on time, and p95 and p99 of a server that stalls."""
    return [_rate(), *_stall()]


def _rate() -> Figure:
    with stub_server.running() as url:
        ours = [_highest(url) for _ in range(_RUNS)]
        closed = [_closed_loop(url, users=50, pace=1000, seconds=5) for _ in range(_RUNS)]
    theirs = statistics.median(len(latencies) / 5 for latencies in closed)
    value = statistics.median(ours)
    return Figure(
        name="open-loop rate of one generator core, send lateness p99 ≤ 5 ms",
        value=value,
        unit="requests/s",
        peer="locust in closed loop as fast as it can (50 users), which has no schedule to keep",
        peer_value=theirs,
        ratio=value / theirs,
        spread=(max(ours) - min(ours)) / value if value else None,
    )


def _highest(url: str) -> float:
    """The highest rate up to which nothing but the schedule decides when requests leave.

    Each rate may be tried twice: a hiccup of the machine is not the generator's.
    """
    best = 0.0
    for rate in _RATES:
        if not any(_on_time(_open(url, rate=rate, seconds=4)) for _ in range(2)):
            break
        best = rate
    return best


def _on_time(report: Report) -> bool:
    checks = {check.name: check.passed for check in report.checks}
    sent = report.failures == report.dropped == 0
    return sent and checks["send lateness p99"] and checks["generator CPU"]


def _stall() -> Iterator[Figure]:
    """A server that stalls 1 s in every 10, at 200 requests/s: arithmetic gives the truth."""
    with stub_server.running("--stall-every", "10", "--stall", "1") as url:
        report = _open(url, rate=200, seconds=20)
        closed = sorted(_closed_loop(url, users=20, pace=10, seconds=20))
    for fraction, truth, measured in (
        (0.95, 500, report.latency_ms.p95),
        (0.99, 900, report.latency_ms.p99),
    ):
        theirs = closed[int(fraction * len(closed))]
        yield Figure(
            name=f"p{fraction * 100:.0f} of a server that stalls 1 s in 10 (truth: {truth} ms)",
            value=measured or 0.0,
            unit="ms",
            peer="locust in closed loop, 20 users × 10/s",
            peer_value=theirs,
            ratio=(measured or 0.0) / theirs,
        )


def _open(url: str, *, rate: float, seconds: float) -> Report:
    profile = {
        "arrivals": "constant",
        "maxInFlight": 800,
        "mix": [{"request": {"name": "ok", "path": "/ok", "contains": "true"}}],
        "stages": [
            {"kind": "warm-up", "seconds": 1, "rate": rate},
            {"kind": "hold", "seconds": seconds, "rate": rate},
        ],
        "judge": {"lateness": _LATE},
    }
    with tempfile.TemporaryDirectory() as folder:
        load = Profile.model_validate_json(json.dumps(profile))
        return loadtest.run(load, Target(url), {}, Path(folder))


def _closed_loop(url: str, *, users: int, pace: float, seconds: int) -> list[float]:
    """Every response time in ms, to locust's two digits."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "locustfile.py"
        path.write_text(_CLOSED.format(pace=pace))
        words = [sys.executable, "-m", "locust", "-f", path, "--headless", "--json", "-H", url]
        words += ["-u", str(users), "-r", "100", "-t", f"{seconds}s", "--loglevel", "ERROR"]
        printed = command.run(words, timeout=seconds + 60).stdout
    times = json.loads(printed)[0]["response_times"]
    return [float(time) for time, count in times.items() for _ in range(count)]
