"""The run evaluated, then the server: from samples as a generator sends them, without a network."""

import base64
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.loadtest import slo, validity
from harness.loadtest.plan import prepare
from harness.loadtest.profile import Profile
from harness.loadtest.recording import Recording
from harness.loadtest.report import decide
from harness.loadtest.target import Target
from harness.loadtest.window import CORRECT, DROPPED, FIRST_GROUP, Samples, unpack
from tests.loadtest.cases import profile

Sample = tuple[float, float, float, int]  # due, late, service (s), outcome


def record(load: Profile, samples: Iterable[Sample], **window: Any) -> Recording:
    """A recording of one worker's one window."""
    plan = prepare(load, Target("http://127.0.0.1:1"), {}, Path.cwd())
    recording = Recording(load, plan)
    packer = Samples()
    for due, late, service, outcome in samples:
        packer.add(due, late, service, 0, outcome)
    packed = {
        key: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for key, value in packer.pack().items()
    }
    about = {"worker": 0, "cpu": 0.1, "wall": 1.0, "in_flight": 1, "groups": [], "checks": []}
    message = packed | about | window
    recording.add(unpack(json.loads(json.dumps(message))))
    return recording


def steady(count: int, service: float | Callable[[int], float]) -> list[Sample]:
    """``count`` correct responses over a hold of 30 s; ``service`` in s, or of the n-th."""
    seconds = service if callable(service) else lambda _: service
    return [(30 * n / count, 0.0001, seconds(n), CORRECT) for n in range(count)]


def hold(*slos: dict[str, object], **keys: object) -> Profile:
    return profile(stages=[{"kind": "hold", "seconds": 30, "rate": 20}], slos=list(slos), **keys)


def evaluate(load: Profile, samples: Iterable[Sample], **window: Any) -> tuple[str, list[str]]:
    recording = record(load, samples, **window)
    slos = slo.evaluate(load, recording)
    return decide(slos, validity.evaluate(load, recording, slos, None))


P99 = {"latency": {"p99": 100}}


def test_a_fast_server_with_enough_requests_passes() -> None:
    assert evaluate(hold(P99), steady(600, 0.01)) == ("pass", [])


def test_a_slow_server_fails() -> None:
    verdict, reasons = evaluate(hold(P99), steady(600, lambda n: 0.01 if n % 20 else 0.2))
    assert verdict == "fail"
    assert reasons == ["p99 of all: 200.2 ms (≤ 100.0 ms)"]


def test_too_few_requests_prove_nothing() -> None:
    verdict, reasons = evaluate(hold(P99), steady(400, 0.01))
    assert verdict == "invalid"
    assert "p99 of all: 400 of 459" in reasons[0]


def test_a_missed_slo_needs_no_more_requests() -> None:
    assert evaluate(hold(P99), steady(40, 0.5))[0] == "fail"


def test_a_late_generator_spoils_even_a_fail() -> None:
    samples = [(n / 20, 0.05, 0.5, CORRECT) for n in range(600)]
    verdict, reasons = evaluate(hold(P99), samples)
    assert verdict == "invalid"
    assert "send lateness" in reasons[0] and "its own delays" in reasons[0]


def test_a_busy_generator_spoils() -> None:
    verdict, reasons = evaluate(hold(P99), steady(600, 0.01), cpu=0.95)
    assert verdict == "invalid"
    assert "generator CPU: 95% of a core" in reasons[0]


def test_a_dropped_request_is_no_pass() -> None:
    samples = [*steady(600, 0.01), (15.0, 0, 0, DROPPED)]
    assert evaluate(hold(P99), samples)[0] == "invalid"


def test_more_dropped_than_allowed_is_a_fail() -> None:
    samples = [*steady(600, 0.01), (15.0, 0, 0, DROPPED)]
    assert evaluate(hold(P99, {"dropped": 0}), samples)[0] == "fail"


def test_a_server_that_slows_down_is_not_judged() -> None:
    verdict, reasons = evaluate(hold(P99), steady(600, lambda n: 0.01 + n * 0.0001))
    assert verdict == "invalid"
    assert "hold 1, ok: median" in reasons[0]


def test_noise_is_no_drift() -> None:
    assert evaluate(hold(P99), steady(600, lambda n: 0.02 + (n * 7919 % 100) * 0.0005))[0] == "pass"


def test_a_failure_counts_as_never_answered() -> None:
    load = hold(P99)
    failure = [["ok", "HTTP 503", False, ""]]
    samples = [*steady(594, 0.01), *[(n, 0, 0.001, FIRST_GROUP) for n in range(7)]]
    recording = record(load, samples, groups=failure)
    counts = recording.total(recording.judged)
    assert counts.quantile(0.95) == pytest.approx(10.1, rel=0.01)
    assert math.isinf(counts.quantile(0.99))
    assert evaluate(load, samples, groups=failure)[0] == "fail"


def test_every_response_must_be_correct_by_default() -> None:
    failure = [["ok", "wrong answer", True, ""]]
    samples = [*steady(999, 0.01), (1.0, 0, 0.001, FIRST_GROUP)]
    assert evaluate(hold(), samples, groups=failure)[0] == "fail"
    assert evaluate(hold({"errorRate": 0.01}), samples, groups=failure)[0] == "pass"


def test_a_changed_release_spoils() -> None:
    load = hold(P99)
    recording = record(load, steady(600, 0.01))
    slos = slo.evaluate(load, recording)
    checks = validity.evaluate(load, recording, slos, "abc → def")
    reason = "release: abc → def (unchanged); a rollout during the run mixes two servers"
    assert decide(slos, checks) == ("invalid", [reason])


def test_percentiles_are_exact_to_three_digits() -> None:
    recording = record(hold(), steady(1000, lambda n: (n + 1) / 1000))
    counts = recording.total(recording.judged)
    for fraction in (0.5, 0.9, 0.95, 0.99, 0.999):
        assert counts.quantile(fraction) == pytest.approx(fraction * 1000, rel=0.002)
    assert counts.within(250.2) == pytest.approx(250, abs=1)
