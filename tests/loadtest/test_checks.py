"""Checks of one's own: outside the processes that send, and what that means for the report."""

from pathlib import Path

import gevent

from harness import loadtest
from harness.loadtest import Target
from harness.loadtest.generator.checker import Checker, Response
from harness.loadtest.generator.outside import Outside, Unchecked
from harness.loadtest.plan import Request
from harness.loadtest.report import remarks
from harness.loadtest.terminal import text
from harness.loadtest.validity import answers_checked
from harness.loadtest.window import Checks
from harness.models.answer import Expected, Function
from harness.models.samples import Origin, PreparedSample
from tests.loadtest.cases import profile

EVEN = "def check(body):\n    return 'odd' if len(body) % 2 else None\n"
SLOW = "import time\ndef check(body):\n    time.sleep(0.02)\n"
BROKEN = "def check(body):\n    return {}['missing']\n"
BUSY = {"lateness": 500, "drift": 100, "generatorCpu": 1}


def sample(name: str, body: bytes, expected: Expected, origin: Origin = "written"):
    return PreparedSample(
        model=name,
        version="1",
        name="sample",
        content_type="text/plain",
        body=body,
        expected=expected,
        origin=origin,
    )


def run(stub: str, folder: Path, *samples: PreparedSample, **keys: object):
    load = profile(mix=[{"model": each.model} for each in samples], judge=BUSY, **keys)
    return loadtest.run(load, Target(stub), {each.model: [each] for each in samples}, folder)


def function(source: str) -> Expected:
    return Expected(function=Function(path="/nowhere/check.py", source=source))


def test_each_kind_of_answer_is_checked_and_who_knows_it_is_reported(stub, tmp_path):
    report = run(
        stub,
        tmp_path,
        sample("even", b"ab", function(EVEN)),
        sample("odd", b"abc", function(EVEN)),
        sample("text", b"Paris", Expected(text="Paris"), "recorded"),
        sample("other", b"Rome", Expected(text="Paris"), "recorded"),
        sample("broken", b"x", function(BROKEN)),
        sample("slow", bytes(70_000), function(SLOW)),  # too large to be remembered
    )
    failures = {part.name: (part.failures, part.wrong_answers) for part in report.mix}
    requests = {part.name: part.requests for part in report.mix}
    assert failures["even"] == failures["text"] == failures["slow"] == (0, 0)
    for name in ("odd", "other", "broken"):
        assert failures[name] == (requests[name], requests[name])
    examples = {group.name: group.example for group in report.failure_groups}
    assert examples["odd"].startswith("odd · abc")
    assert examples["broken"].startswith("/nowhere/check.py:2: the check failed: KeyError")
    assert {part.name: part.answers for part in report.mix}["text"] == ["recorded"]
    assert "the expected answers of text, other were recorded from a server" in remarks(report)
    assert report.lateness_ms.p50 < 20
    checks = report.generator.checks
    assert checks.outside > requests["slow"]
    assert checks.unchecked == 0
    assert any(
        "of the checks ran outside the sending processes" in line for line in remarks(report)
    )
    assert "requests, every response checked" in text(report, tmp_path)
    part = report.mix[0].model_copy(update={"answers": ["status"]})
    unknown = report.model_copy(update={"mix": [part]})
    assert "checked only the status of even; add `contains` for more" in remarks(unknown)
    assert "requests, not every response checked" in text(unknown, tmp_path)


def test_what_waits_when_the_run_is_over_is_unchecked():
    outside = Outside([function(SLOW.replace("0.02", "60"))])

    def check() -> str | None:
        try:
            return outside.wrong(0, b"x")
        except Unchecked:
            return "unchecked"

    waiting = [gevent.spawn(check) for _ in range(3)]
    gevent.sleep(0.1)
    outside.drain(0.1)
    assert [each.get() for each in waiting] == ["unchecked"] * 3
    assert check() == "unchecked"


def test_a_run_whose_answers_were_hardly_checked_is_no_proof():
    assert answers_checked(Checks(inside=90, outside=10)).passed
    assert answers_checked(Checks(outside=10, unchecked=90)).passed
    few = answers_checked(Checks(outside=9, unchecked=91))
    assert (few.passed, few.found, few.spoils) == (False, "9%", False)


def test_a_cheap_kind_that_proves_slow_moves_outside():
    expected = Expected(answer=[1] * 20_000, tolerance={"absolute": 0.0})
    request = Request(
        name="big",
        model="big",
        weight=1,
        method="POST",
        path="/",
        headers={},
        body=b"",
        expected=expected,
    )
    checker = Checker((request,), None)
    body = ("[" + ", ".join(["1"] * 20_000) + "]").encode()
    for spaces in range(4):
        assert checker.check(0, Response(200, body + b" " * (70_000 + spaces), 0.0)) == 0
    assert checker.checks.inside == 2
    assert checker.checks.outside == 2
    checker.outside.drain(0)
