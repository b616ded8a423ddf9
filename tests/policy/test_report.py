"""One report, five forms that say the same."""

import dataclasses
import datetime
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.core.errors import Location
from harness.policy.exceptions import Suppressed
from harness.policy.finding import Finding, Severity
from harness.policy.report import (
    Report,
    as_github,
    as_json,
    as_junit,
    as_markdown,
    as_sarif,
    as_text,
    explain,
    write,
)
from harness.policy.rule import Rule
from harness.render.rendered import UnsetValue

RULES = (
    Rule("gpu/quoted", "a number is refused", 'write "1"', references=("NSA C-1",)),
    Rule("pod/limit", "a | pod takes the node", "set a limit", Severity.WARNING),
)
ERROR = Finding(
    "gpu/quoted",
    Severity.ERROR,
    "1, a number: not text\nas it must be",
    Location(Path("apps/values.yaml"), 7),
    "Deployment/demo/web",
    ("staging", "production"),
    'write "1"',
)
WARNING = Finding(
    "pod/limit", Severity.WARNING, "none", Location(Path("apps/b.yaml")), "", (), "set a limit"
)
REPORT = Report(
    findings=(ERROR, WARNING),
    suppressed=(Suppressed(ERROR, "known since long", datetime.date(2027, 6, 30)),),
    unset=(UnsetValue("url", Location(Path("release.yaml"), 3)),),
    objects={"staging": 4, "production": 5},
    rules=RULES,
    seconds=0.5,
)
CLEAN = Report((), (), (), {"staging": 4}, RULES, 0.5)


def test_text_groups_by_file_and_puts_the_fix_under_each() -> None:
    lines = as_text(REPORT).splitlines()
    assert lines[0] == "apps/values.yaml"
    assert lines[1].split() == ["7", "error", "gpu/quoted", "(staging,", "production)"]
    assert '→ write "1"' in lines[4]
    assert "✗ 2 findings · 2 environments, 9 objects · 2 rules · 1 suppressed" in lines[-1]


def test_text_says_what_was_not_validated_and_how_it_would_be() -> None:
    text = as_text(dataclasses.replace(CLEAN, not_validated=4))
    assert "API validation not run for 4 objects: `make api-validator`" in text
    assert "API validation not run" in text.splitlines()[-1]


def test_text_of_a_clean_report_is_one_line() -> None:
    assert as_text(CLEAN).startswith("✓ no findings · 1 environment, 4 objects")


def test_json_names_every_place() -> None:
    printed = json.loads(as_json(REPORT))
    assert printed["version"] == 1
    assert printed["passed"] is False
    assert [(each["file"], each["line"]) for each in printed["findings"]] == [
        ("apps/values.yaml", 7),
        ("apps/b.yaml", None),
    ]
    assert printed["excused"][0]["expires"] == "2027-06-30"
    assert printed["unfilled"] == [{"key": "url", "file": "release.yaml", "line": 3, "by": ""}]


def test_sarif_has_the_line_and_suppresses_what_is_excused() -> None:
    (run,) = json.loads(as_sarif(REPORT))["runs"]
    first = run["results"][0]
    assert first["locations"][0]["physicalLocation"]["region"] == {"startLine": 7}
    assert run["results"][-1]["suppressions"][0]["justification"] == "known since long"
    known = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} <= known


def test_junit_has_a_case_for_each_rule() -> None:
    suite = ET.fromstring(as_junit(REPORT))  # noqa: S314  our own
    assert suite.attrib["tests"] == "2"
    failed = [case.attrib["name"] for case in suite if case.find("failure") is not None]
    assert failed == ["quoted"]


def test_github_annotations_keep_to_one_line_each() -> None:
    first, second = as_github(REPORT).splitlines()
    assert first.startswith("::error file=apps/values.yaml,line=7,title=gpu/quoted::Deployment/")
    assert "number: not text%0Aas it" in first
    assert second.startswith("::warning ")


def test_markdown_escapes_what_would_break_the_table() -> None:
    assert "| `pod/limit` | a \\| pod takes the node |" in as_markdown({r.id: r for r in RULES})


@pytest.mark.parametrize(("report", "passed"), [(REPORT, False), (CLEAN, True)])
def test_only_errors_fail(report: Report, passed: bool) -> None:
    assert report.passed is passed


def test_the_files_of_a_report(tmp_path: Path) -> None:
    write(REPORT, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.json",
        "report.sarif",
        "junit.xml",
    }


def test_a_rule_names_its_like_in_other_tools() -> None:
    rule = Rule("networking/selects", "it refuses", "correct it", like=("kube-linter x",))
    assert "\nlike: kube-linter x" in explain(rule)
    assert "| kube-linter x |" in as_markdown({rule.id: rule})
