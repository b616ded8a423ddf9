"""Each small fault that a hurried engineer makes is refused, by the right rule, at its line."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import cli
from harness.core.errors import Location
from harness.core.repository import Repository
from harness.policy import engine, repair
from harness.policy.facts import expressions
from harness.policy.finding import Finding
from harness.policy.rule import Rule
from harness.schema import api_validator
from tests.support import variation

FAULTS = variation.folders("invalid")
# What no change of a file can show: it takes commits, `--strict`, a chart of the network or an API
# server. See test_api_validation.py, test_artifact.py, test_check.py, test_published_charts.py,
# tests/e2e/test_admission.py and tests/promotion/test_checked.py.
BEYOND_A_CHANGE = {
    "api/immutable",
    "artifact/committed",
    "images/published-charts",
    "promotion/evidence",
    "promotion/unverified",
    "render/version-skew",
    "render/unset",
    "server/refused",
}

FIXES = 80  # fixes that a machine can make, and the test does

# What takes a program that `make test` builds, and a first look at the repository does not.
OFFLINE = {api_validator.REFUSED, api_validator.IMMUTABLE, api_validator.ADMISSION}

PARSED = "monitoring/expressions"


@pytest.mark.parametrize("folder", FAULTS, ids=lambda folder: str(folder.name))
def test_invalid_change_is_refused(folder: Path, tmp_path: Path) -> None:
    rule = "/".join(folder.name.split("--")[:2])
    fault = variation.load(folder)
    report = fault.check(tmp_path)
    findings = report.findings

    if rule == PARSED and expressions.NOT_PARSED in report.not_run:
        pytest.skip("not built here: harness tools promtool")
    if report.not_validated and rule in OFFLINE:
        pytest.skip("not built here: harness tools api-validator")
    unasked = OFFLINE if report.not_validated else set()
    assert {finding.rule for finding in findings} == {rule, *fault.also} - unasked
    if not unasked & {*fault.also}:
        assert len(findings) == fault.causes, "one finding for each cause"
    matches = [finding for finding in findings if finding.rule == rule]
    places = [_place(tmp_path, finding.location) for finding in matches]
    assert fault.at
    assert any(file == fault.at.file and fault.at.line in line for file, line in places), places
    if fault.environments:
        assert {name for each in matches for name in each.environments} <= set(fault.environments)
    repaired = [each for each in matches if each.repair]
    assert repaired or not fault.fixed, "change.yaml says that the fix is data"
    if repaired:
        _assert_repairs_work(tmp_path, findings, repaired)


def test_many_fixes_are_data() -> None:
    fixed = [folder.name for folder in FAULTS if variation.load(folder).fixed]
    assert len(fixed) >= FIXES, f"{len(fixed)} of {len(FAULTS)} have a fix that a machine can make"


def _assert_repairs_work(root: Path, before: Sequence[Finding], repaired: list[Finding]) -> None:
    """What the findings' fixes say is done to the faulty tree: they go away, and none comes."""
    written = list(repair.apply(root, (each.repair for each in repaired)))
    commands = {words for each in repaired for words in each.repair.commands}
    with contextlib.chdir(root):
        for words in sorted(commands):
            assert words[0] == "harness", f"no test can run {words}"
            assert cli.main(words[1:]) == 0
    assert written or commands
    after = {_content(each) for each in engine.check(Repository(root)).findings}
    assert not after & {_content(each) for each in repaired}
    assert after <= {_content(each) for each in before}


def _content(finding: Finding) -> tuple[str, str, str]:
    return (finding.rule, finding.object, finding.message)


def _place(root: Path, location: Location) -> tuple[str, str]:
    """The file, and the text of the line."""
    lines = (root / location.path).read_text().splitlines()
    return str(location.path), lines[location.line - 1] if location.line else ""


@pytest.mark.parametrize("rule", engine.load_rules().values(), ids=lambda rule: str(rule.id))
def test_every_rule_says_why_and_how_and_has_an_invalid_change(rule: Rule) -> None:
    assert rule.why
    assert rule.fix
    shown = [folder.name for folder in FAULTS if folder.name.startswith(_prefix(rule))]
    assert shown or rule.id in BEYOND_A_CHANGE


def _prefix(rule: Rule) -> str:
    return rule.id.replace("/", "--") + "--"
