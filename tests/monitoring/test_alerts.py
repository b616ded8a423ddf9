"""Each alert has its tests, which tests/e2e/test_alerts.py runs, and says what to do."""

import re
from pathlib import Path

import pytest
import yaml

from harness.core.values import Value, items, mapping, text

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "infra/monitoring/configs").glob("*prometheusrule.yaml"))
TESTS = sorted(Path(__file__).parent.glob("*alerts.yaml"))


def rule_groups() -> list[Value]:
    """As Flux applies them where a site names no other place for the runbooks."""
    groups = []
    for path in RULES:
        content = path.read_text().replace("${RUNBOOKS_URL:-docs/runbooks.md}", "docs/runbooks.md")
        groups += [mapping(group) for group in items(yaml.safe_load(content), "spec", "groups")]
    return groups


ALERTS = [text(rule, "alert") for group in rule_groups() for rule in items(group, "rules")]


def outcomes(tests: Path, alert: str) -> list[bool]:
    """Whether an alert is expected to fire, in the order of its tests in a file of promtool's."""
    return [
        bool(items(case, "exp_alerts"))
        for test in items(yaml.safe_load(tests.read_text()), "tests")
        for case in items(test, "alert_rule_test")
        if text(case, "alertname") == alert
    ]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_seen_silent_firing_and_resolved(alert: str) -> None:
    expectations = [each for tests in TESTS for each in outcomes(tests, alert)]
    assert expectations[0] is False
    assert True in expectations
    assert expectations[-1] is False


def runbook_sections() -> set[str]:
    """The anchors of its headings."""
    titles = re.findall(r"^## (.+)$", (ROOT / "docs/runbooks.md").read_text(), re.MULTILINE)
    return {re.sub(r"\W", "", title.lower()) for title in titles}


@pytest.mark.parametrize("group", rule_groups(), ids=lambda group: text(group, "name"))
def test_an_alert_names_its_section_of_the_runbooks(group: Value) -> None:
    sections = runbook_sections()
    for rule in items(group, "rules"):
        page, _, section = text(rule, "annotations", "runbook_url").partition("#")
        assert page == "docs/runbooks.md"
        assert section in sections
        assert text(rule, "labels", "severity") in {"page", "ticket"}
