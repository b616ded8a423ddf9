"""What a remote chart makes: its HelmRelease answers for it, and may be excused."""

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.errors import Location
from harness.core.repository import Repository
from harness.policy import engine
from harness.policy.rules.security import images
from harness.render.objects import Object, Owner
from harness.render.rendered import Environment
from tests.support import published_chart
from tests.support.miniature import Miniature
from tests.support.published_chart import RELEASE

OWNER = "HelmRelease/flux-system/web"
SOON = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=90)
ENTRY = f"  - {{rule: %s, object: %s, reason: known and meant, expires: {SOON}}}\n"
NOT_RENDERED = ENTRY % ("render/not-rendered", OWNER)
INVALID = ENTRY % ("schema/invalid", OWNER)


@pytest.fixture
def miniature(tmp_path: Path, checkout: Repository) -> Iterator[Miniature]:
    """Its chart is published, and makes a Deployment that no API server would take as it is."""
    miniature = Miniature(tmp_path / "repository", checkout)
    miniature.edit(
        "apps/chart/templates/deployment.yaml", "  selector:", "  selectr: {}\n  selector:"
    )
    with published_chart.repository(miniature) as url:
        published_chart.publish(miniature, url)
        yield miniature


def _rules(miniature: Miniature, exceptions: str = "") -> list[str]:
    miniature.write("exceptions.yaml", f"exceptions:\n{exceptions}")
    findings = engine.check(miniature.repository).findings
    chart_rules = ("schema/invalid", "render/not-rendered", "exceptions/unused")
    return [
        each.rule for each in findings if each.rule in chart_rules and each.object in (OWNER, "")
    ]


def test_a_fault_of_its_object_is_the_releases(miniature: Miniature) -> None:
    published_chart.fetch(miniature)
    findings = engine.check(miniature.repository).findings
    (finding,) = (each for each in findings if each.rule == "schema/invalid")
    assert finding.object == OWNER
    assert "Deployment/demo/web: spec.selectr: unknown key selectr" in finding.message
    assert str(finding.location) == f"{RELEASE}:11"


def test_an_exception_names_the_release(miniature: Miniature) -> None:
    published_chart.fetch(miniature)
    assert _rules(miniature) == ["schema/invalid"]
    assert _rules(miniature, INVALID) == []


def test_whether_a_machine_has_the_chart_makes_no_exception_unused(miniature: Miniature) -> None:
    assert _rules(miniature, NOT_RENDERED + INVALID) == []
    published_chart.fetch(miniature)
    assert _rules(miniature, NOT_RENDERED + INVALID) == []


def test_a_chart_that_is_there_needs_no_other_exception(miniature: Miniature) -> None:
    published_chart.fetch(miniature)
    other = ENTRY % ("schema/none", OWNER)
    assert _rules(miniature, INVALID + other) == ["exceptions/unused"]


def test_an_exception_for_a_release_of_our_own_chart_is_unused(
    tmp_path: Path, checkout: Repository
) -> None:
    assert _rules(Miniature(tmp_path / "own", checkout), NOT_RENDERED) == ["exceptions/unused"]


def _object(value: dict[str, object]) -> Object:
    owner = Owner("HelmRelease", "flux-system", "web")
    return Object(value, owner, lambda *_: Location(Path("helmrelease.yaml"), 1))


@pytest.mark.parametrize(
    ("image", "count"), [("quay.io/jetstack/a:v1", 0), ("quay.io/jetstackpot/a:v1", 1)]
)
def test_its_images_come_from_a_registry_on_the_list(image: str, count: int) -> None:
    listed = [{"name": "registries", "expression": "['quay.io/jetstack/', 'nvcr.io/nvidia/']"}]
    policy = {
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "image-registry"},
        "spec": {"variables": listed},
    }
    pod = {"kind": "Pod", "spec": {"containers": [{"name": "a", "image": image}]}}
    environment = Environment(
        "demo", "candidate", (_object(policy),), third_party=(_object({**pod, "metadata": {}}),)
    )
    assert [each.object for each in images.published_charts(environment)] == [OWNER] * count
