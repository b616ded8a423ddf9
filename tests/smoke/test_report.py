"""One report, three forms that say the same; report.json is what others rely on."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.core.errors import HarnessError, InputError
from harness.loadtest.target import Release
from harness.smoke import report, run
from harness.smoke.report import Report, Result

RESULTS = [
    Result(name="every node is ready", outcome="passed", seconds=0.25),
    Result(name="metrics are served", outcome="failed", seconds=2, why="HTTP 500\nno", next="look"),
    Result(name="the GPU is seen", outcome="not applicable", seconds=0, why="kwok's pods"),
]
REPORT = Report(
    environment="staging",
    started="2026-11-26T05:00:00+00:00",
    seconds=12.3,
    verdict="fail",
    target="eks",
    embedded=False,
    release=Release(commit="c" * 40, digest=None, helm="version=3", pods="7d9c+0"),
    tests=RESULTS,
)


@pytest.mark.parametrize(
    ("results", "verdict"),
    [
        (RESULTS[:1], "pass"),
        ([RESULTS[0], RESULTS[2]], "pass"),
        (RESULTS, "fail"),
        (RESULTS[2:], "invalid"),
        ([], "invalid"),
    ],
    ids=["passed", "passed and inapplicable", "failed", "inapplicable", "none"],
)
def test_what_does_not_apply_proves_nothing(results: list[Result], verdict: str) -> None:
    assert report.verdict(results) == verdict


def test_json_has_the_keys_that_others_rely_on(tmp_path: Path) -> None:
    report.write(REPORT, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text()) == {
        "schema_version": 1,
        "environment": "staging",
        "started": "2026-11-26T05:00:00+00:00",
        "seconds": 12.3,
        "verdict": "fail",
        "target": "eks",
        "embedded": False,
        "simulated": False,
        "release": {"commit": "c" * 40, "digest": None, "helm": "version=3", "pods": "7d9c+0"},
        "tests": [
            {"name": n, "outcome": o, "seconds": s, "why": w, "next": x}
            for n, o, s, w, x in (
                ("every node is ready", "passed", 0.25, "", ""),
                ("metrics are served", "failed", 2.0, "HTTP 500\nno", "look"),
                ("the GPU is seen", "not applicable", 0.0, "kwok's pods", ""),
            )
        ],
    }


def test_junit_skips_what_does_not_apply(tmp_path: Path) -> None:
    report.write(REPORT, tmp_path)
    suite = ElementTree.fromstring((tmp_path / "report.junit.xml").read_text())  # noqa: S314
    counts = {key: suite.get(key) for key in ("tests", "failures", "skipped")}
    assert counts == {"tests": "3", "failures": "1", "skipped": "1"}
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["skipped"]]


def test_the_screen_puts_what_to_type_under_what_failed(tmp_path: Path) -> None:
    assert report.text(REPORT, tmp_path).splitlines() == [
        "verdict: fail",
        "",
        "  ✓ every node is ready",
        "  ✗ metrics are served",
        "      HTTP 500",
        "      no",
        "    → look",
        "  – the GPU is seen: kwok's pods",
        "",
        "  staging on eks, release cccccccccccc: 1 passed, 1 failed, 1 not applicable in 12.3 s",
        f"  {tmp_path}/report.json",
    ]


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(HarnessError("no Java", hint="install it"), "invalid"), (InputError("bad"), "fail")],
    ids=["nothing there", "a model cannot be served"],
)
def test_without_a_target_the_report_says_why(error: HarnessError, verdict: str) -> None:
    report_without_target = run.nothing_to_check("staging", "embedded", error, run.Clock())
    assert (report_without_target.verdict, report_without_target.release) == (verdict, None)
    assert [(each.why, each.next) for each in report_without_target.tests] == [
        (error.message, error.hint)
    ]
