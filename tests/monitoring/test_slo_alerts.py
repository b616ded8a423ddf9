"""Alerts on error budgets have tests and runbooks, as those that are written by hand."""

import json
from pathlib import Path

import pytest
import yaml

from harness.burn_rate import rules
from harness.core.values import Value, items, mapping, text
from harness.loadtest.profile import Profile
from tests.monitoring.test_alerts import outcomes, runbook_sections

SLO_TESTS = Path(__file__).with_name("slos.yaml")
PROFILE = {
    "mix": [{"model": "cat"}],
    "stages": [{"kind": "hold", "seconds": 1, "rate": 1}],
    "slos": [{"of": "cat", "latency": {"p99": 400}, "errorRate": 0.001}],
    "errorBudget": {"window": "30d", "minBad": 10},
}


def slo_rule_groups() -> list[Value]:
    """Those of a small profile, as Flux applies them where a site names no other runbooks."""
    profile = Profile.model_validate_json(json.dumps(PROFILE))
    written = rules.as_text("staging", profile)
    content = written.replace("${RUNBOOKS_URL:-docs/runbooks.md}", "docs/runbooks.md")
    return [mapping(group) for group in items(yaml.safe_load(content), "spec", "groups")]


ALERTS = [
    alert
    for group in slo_rule_groups()
    for rule in items(group, "rules")
    if (alert := text(rule, "alert"))
]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_seen_silent_firing_and_resolved(alert: str) -> None:
    expectations = outcomes(SLO_TESTS, alert)
    assert expectations[0] is False
    assert True in expectations
    assert expectations[-1] is False


def test_alerts_name_their_sections_of_the_runbooks() -> None:
    sections = runbook_sections()
    for rule in (rule for group in slo_rule_groups() for rule in items(group, "rules")):
        if alert := text(rule, "alert"):
            where = text(rule, "annotations", "runbook_url")
            assert where == f"docs/runbooks.md#{alert.lower()}"
            assert alert.lower() in sections
