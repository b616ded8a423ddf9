"""What tests run of monitoring is what the chart installs, or the difference is named.

The versions are those in the chart's record (tools/charts), which says where they were read.
"""

import json
import re

import pytest

from harness import programs, tools
from harness.core.repository import Repository
from harness.core.values import text
from harness.policy.recorded import charts
from harness.render.renderer import Renderer
from tests.monitoring.test_alerts import ROOT

CHART = "kube-prometheus-stack"
RECORD = ROOT / f"tools/charts/{CHART}.json"
NOT_RUN = {"docker.io/busybox", "quay.io/thanos/thanos", "registry.k8s.io/kubectl"}
MOST_NAMED = 5  # prefixes of the policy, or it was not read
IMAGES = {
    "alertmanager": "quay.io/prometheus/alertmanager",
    "amtool": "quay.io/prometheus/alertmanager",
    "prometheus": "quay.io/prometheus/prometheus",
    "prometheus-operator": "quay.io/prometheus-operator/prometheus-operator",
    "promtool": "quay.io/prometheus/prometheus",
}
# A pin that is not what the chart installs, and what it is instead: none.
DIFFERENCES: dict[str, str] = {}


def test_every_program_of_monitoring_is_compared() -> None:
    assert set(IMAGES) == set(programs.MONITORING)
    assert set(DIFFERENCES) <= set(IMAGES)


@pytest.mark.parametrize("name", IMAGES)
def test_pin_is_what_the_chart_installs(checkout: Repository, name: str) -> None:
    record = json.loads(RECORD.read_text())
    tag = text(record, "images", IMAGES[name]) or text(record, "appVersion")
    installed = tag.removeprefix("v").removesuffix("-distroless")
    differs = _version(checkout, name) != installed
    assert differs == (name in DIFFERENCES), f"{name} {tools.version(checkout, name)}, not {tag}"


def test_record_is_of_the_chart_that_production_installs(checkout: Repository) -> None:
    environment = Renderer(checkout).candidate("production")
    release = environment.find("HelmRelease", CHART)
    assert release
    _, version = charts.chart_and_version(environment, release)
    record = charts.load(checkout, CHART)
    assert record
    assert record.is_of(version)


@pytest.mark.parametrize("image", sorted(json.loads(RECORD.read_text())["images"]))
def test_admission_lets_the_images_of_the_chart_in(image: str) -> None:
    """A hook whose pod is refused ends the install, and with it the release."""
    policy = (ROOT / "infra/policies/validatingadmissionpolicy.yaml").read_text()
    allowed = tuple(re.findall(r"^ +\[?'([\w./-]+/)',?\]?", policy, re.MULTILINE))
    assert len(allowed) > MOST_NAMED
    assert image.startswith(allowed) != (image in NOT_RUN)


def _version(repository: Repository, name: str) -> str:
    """The version of a pin, as its image is tagged: Prometheus 3.14.0 is 0.314.0 as a Go module."""
    version = tools.version(repository, name)
    if IMAGES[name] == "quay.io/prometheus/prometheus":
        _, minor, patch = version.split(".")
        return f"{minor[0]}.{int(minor[1:])}.{patch}"
    return version
