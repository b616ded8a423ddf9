"""What tests run of monitoring is what the chart installs, or the difference is named.

The versions are those in the chart's record (tools/charts), which says where they were read.
"""

import json

import pytest

from harness import tools
from harness.core.repository import Repository
from harness.core.values import text
from harness.policy import chart_record
from harness.render.renderer import Renderer

CHART = "kube-prometheus-stack"
IMAGES = {
    "alertmanager": "prometheus/alertmanager",
    "amtool": "prometheus/alertmanager",
    "prometheus": "prometheus/prometheus",
    "prometheus-operator": "prometheus-operator/prometheus-operator",
    "promtool": "prometheus/prometheus",
}
# A pin that is not what the chart installs, and what it is instead: none.
DIFFERENCES: dict[str, str] = {}


def test_every_program_of_monitoring_is_compared() -> None:
    assert set(IMAGES) == set(tools.MONITORING)
    assert set(DIFFERENCES) <= set(IMAGES)


@pytest.mark.parametrize("name", IMAGES)
def test_pin_is_what_the_chart_installs(checkout: Repository, name: str) -> None:
    record = json.loads((checkout.root / f"tools/charts/{CHART}.json").read_text())
    tag = text(record, "images", IMAGES[name]) or text(record, "appVersion")
    installed = tag.removeprefix("v").removesuffix("-distroless")
    differs = _version(checkout, name) != installed
    assert differs == (name in DIFFERENCES), f"{name} {tools.version(checkout, name)}, not {tag}"


def test_record_is_of_the_chart_that_production_installs(checkout: Repository) -> None:
    environment = Renderer(checkout).candidate("production")
    release = environment.find("HelmRelease", CHART)
    assert release
    _, version = chart_record.chart_and_version(environment, release)
    record = chart_record.load(checkout, CHART)
    assert record
    assert record.is_of(version)


def _version(repository: Repository, name: str) -> str:
    """The version of a pin, as its image is tagged: Prometheus 3.14.0 is 0.314.0 as a Go module."""
    version = tools.version(repository, name)
    if IMAGES[name] == "prometheus/prometheus":
        _, minor, patch = version.split(".")
        return f"{minor[0]}.{int(minor[1:])}.{patch}"
    return version
