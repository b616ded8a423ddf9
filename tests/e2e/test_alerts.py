"""Alerts fire, stay silent and resolve as Prometheus itself evaluates them."""

import subprocess
from pathlib import Path

import yaml

from harness import tools
from harness.core.repository import Repository
from tests.monitoring.test_alerts import TESTS, rule_groups


def test_every_alert_fires_stays_silent_and_resolves(checkout: Repository, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": rule_groups()}))
    (tmp_path / "alerts.yaml").write_text(TESTS.read_text())
    promtool = tools.find(checkout, "promtool")
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "alerts.yaml"]):
        completed = subprocess.run(
            [promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert completed.returncode == 0, completed.stdout + completed.stderr
