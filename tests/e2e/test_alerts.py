"""Alerts fire, stay silent and resolve as Prometheus itself evaluates them."""

import subprocess
from pathlib import Path

import pytest
import yaml

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value
from tests.monitoring.test_alerts import TESTS, rule_groups
from tests.monitoring.test_slo_alerts import SLO_TESTS, slo_rule_groups


@pytest.mark.parametrize(
    ("tests", "name", "groups"),
    [(TESTS, "rules.yaml", rule_groups()), (SLO_TESTS, "slos.yaml", slo_rule_groups())],
    ids=["alerts", "slos"],
)
def test_every_alert_fires_stays_silent_and_resolves(
    checkout: Repository, tmp_path: Path, tests: Path, name: str, groups: list[Value]
) -> None:
    (tmp_path / name).write_text(yaml.safe_dump({"groups": groups}))
    (tmp_path / "tests.yaml").write_text(tests.read_text())
    promtool = tools.find(checkout, "promtool")
    for command in (["check", "rules", name], ["test", "rules", "tests.yaml"]):
        completed = subprocess.run(
            [promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert completed.returncode == 0, completed.stdout + completed.stderr
