"""Dashboards are such as Grafana takes, and ask for figures that there are."""

import json
import re
from pathlib import Path

import pytest

from harness.core.values import items, text

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra/monitoring/configs/dashboards"
FILES = sorted(FOLDER.glob("*.json"))
METRICS = ROOT / "docs/launcher.md"


def test_every_dashboard_is_among_those_that_grafana_gets() -> None:
    listing = (FOLDER.parent / "kustomization.yaml").read_text()
    assert re.findall(r"dashboards/(\S+)", listing) == [each.name for each in FILES]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_panels_have_a_unit_a_place_and_a_query(file: Path) -> None:
    panels = items(json.loads(file.read_text()), "panels")
    places = {json.dumps(panel["gridPos"]) for panel in panels if isinstance(panel, dict)}
    assert len(places) == len(panels)
    for panel in panels:
        assert text(panel, "fieldConfig", "defaults", "unit")
        assert all(text(target, "expr") for target in items(panel, "targets"))


def test_every_metric_of_the_servers_is_one_that_the_launcher_documents() -> None:
    queried = set(re.findall(r"launcher_\w+", (FOLDER / "serving.json").read_text()))
    documented = set(re.findall(r"launcher_\w+", METRICS.read_text()))
    assert {re.sub(r"_(bucket|count|sum)$", "", each) for each in queried} <= documented
