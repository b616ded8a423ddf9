"""The proof that a stall cannot hide: arithmetic says what the percentiles must be."""

from pathlib import Path

import pytest

from harness import loadtest
from harness.loadtest import Target
from tests.loadtest import stub_server
from tests.loadtest.cases import profile

CYCLE, STALL, CYCLES = 10, 1, 2
# A run that was late itself, on a machine with other things to do, proves nothing of the server.
ATTEMPTS, LATE = 3, 10


def test_a_stall_of_one_second_in_ten_shows_in_every_percentile(tmp_path: Path) -> None:
    """A tenth of the requests wait, evenly from 0 to 1 s: p95 is 500 ms, and p99 900 ms."""
    load = profile(
        arrivals="constant",
        stages=[
            {"kind": "warm-up", "seconds": 1, "rate": 200},
            {"kind": "hold", "seconds": CYCLES * CYCLE, "rate": 200},
        ],
    )
    with stub_server.running("--stall-every", str(CYCLE), "--stall", str(STALL)) as url:
        for _ in range(ATTEMPTS):
            report = loadtest.run(load, Target(url), {}, tmp_path)
            if report.lateness_ms.p99 < LATE:
                break
    assert report.requests == 200 * CYCLES * CYCLE
    assert report.failures == 0
    assert report.latency_ms.p50 < 50
    assert report.latency_ms.p95 == pytest.approx(500, rel=0.1)
    assert report.latency_ms.p99 == pytest.approx(900, rel=0.1)
