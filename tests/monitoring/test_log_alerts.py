"""The alerts of infra/logging, which no environment has by default."""

from pathlib import Path

import pytest
import yaml

from harness import tools
from harness.core import command
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, text
from tests.monitoring.test_alerts import ROOT, outcomes, runbook_sections

TESTS = Path(__file__).with_name("logging.yaml")
RULES = ROOT / "infra/logging/base/prometheusrule.yaml"
RUNBOOKS = "docs/runbooks.md"


def groups() -> list[Value]:
    """As Flux applies them where a site names no other place for the runbooks."""
    content = RULES.read_text().replace(f"${{RUNBOOKS_URL:-{RUNBOOKS}}}", RUNBOOKS)
    return [mapping(each) for each in items(yaml.safe_load(content), "spec", "groups")]


ALERTS = [mapping(rule) for group in groups() for rule in items(group, "rules")]


def test_promtool_sees_each_alert_as_its_tests_say(checkout: Repository, tmp_path: Path) -> None:
    promtool = tools.at_hand(checkout, "promtool")
    if promtool is None:
        pytest.skip("promtool is not built: harness tools promtool")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups()}))
    (tmp_path / "tests.yaml").write_text(TESTS.read_text())
    run = command.run([promtool, "test", "rules", "tests.yaml"], cwd=tmp_path, timeout=60)
    assert "SUCCESS" in run.stdout


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: text(alert, "alert"))
def test_an_alert_is_seen_silent_firing_and_resolved(alert: Value) -> None:
    expectations = outcomes(TESTS, text(alert, "alert"))
    assert expectations[0] is False
    assert True in expectations
    assert expectations[-1] is False


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: text(alert, "alert"))
def test_an_alert_names_its_section_of_the_runbooks(alert: Value) -> None:
    page, _, section = text(alert, "annotations", "runbook_url").partition("#")
    assert page == RUNBOOKS
    assert section in runbook_sections()
    assert text(alert, "labels", "severity") in {"page", "ticket"}
