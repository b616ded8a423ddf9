"""A remote chart is fetched once, by its exact version, and then rendered like our own."""

import json
from collections.abc import Iterator

import pytest

from harness import cli
from tests.support import published_chart
from tests.support.miniature import Miniature
from tests.support.published_chart import RELEASE, fetch, publish

REFUSING = "http://127.0.0.1:9"  # the discard port: nobody listens


@pytest.fixture
def repository(miniature: Miniature) -> Iterator[str]:
    with published_chart.repository(miniature) as url:
        yield url


def test_before_it_is_fetched_it_is_named(miniature: Miniature, repository: str) -> None:
    publish(miniature, repository)
    (fault,) = miniature.render().faults
    assert (fault.rule, fault.object) == ("render/not-rendered", "HelmRelease/flux-system/web")
    assert str(fault.location) == f"{RELEASE}:11"


def test_once_fetched_it_is_rendered_with_merged_values_and_hooks(
    miniature: Miniature, repository: str
) -> None:
    publish(miniature, repository)
    assert fetch(miniature) == [None]
    environment = miniature.render()
    assert environment.faults == ()
    by_kind = {each.kind: each for each in environment.third_party}
    assert set(by_kind) == {"ConfigMap", "Deployment", "Job"}
    deployment = by_kind["Deployment"]
    assert deployment.dig("spec", "replicas") == 2
    assert deployment.namespace == "demo"
    assert str(deployment.owner) == "HelmRelease/flux-system/web"
    assert by_kind["ConfigMap"].dig("data", "settings.txt") == "a=1,b={x}\npattern=^x$$\n"


def test_what_it_makes_stays_apart_from_our_own(miniature: Miniature, repository: str) -> None:
    publish(miniature, repository)
    before = [each.value for each in miniature.render().objects]
    fetch(miniature)
    assert [each.value for each in miniature.render().objects] == before


def test_a_field_leads_to_its_value_or_to_the_line_that_names_the_chart(
    miniature: Miniature, repository: str
) -> None:
    publish(miniature, repository)
    fetch(miniature)
    (deployment,) = (each for each in miniature.render().third_party if each.kind == "Deployment")
    assert str(deployment.at("spec", "replicas")) == "apps/demo/helmrelease.yaml:8"
    image = ("spec", "template", "spec", "containers", 0, "image")
    assert str(deployment.at(*image)) == f"{RELEASE}:31"
    assert str(deployment.at("spec", "selector")) == f"{RELEASE}:11"


def test_what_was_fetched_needs_no_network(miniature: Miniature, repository: str) -> None:
    publish(miniature, repository)
    fetch(miniature)
    for archive in (miniature.root.parent / "published").iterdir():
        archive.unlink()
    assert fetch(miniature) == [None]
    assert miniature.render().third_party


def test_values_that_the_chart_refuses_are_a_fault(miniature: Miniature, repository: str) -> None:
    publish(miniature, repository)
    fetch(miniature)
    miniature.edit("apps/demo/helmrelease.yaml", "replicas: 2", "replicas: two")
    (fault,) = miniature.render().faults
    assert (fault.rule, str(fault.location)) == ("render/helm", "apps/demo/helmrelease.yaml:8")


def test_set_up_fetches_what_it_can_and_says_what_it_cannot(
    miniature: Miniature,
    repository: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish(miniature, repository)
    monkeypatch.chdir(miniature.root)
    assert cli.main(["tools", "--json"]) == 0
    assert f"{repository} web 0.1.0" in json.loads(capsys.readouterr().out)
    miniature.edit("clusters/demo/published.yaml", repository, REFUSING)
    assert cli.main(["tools", "--json"]) == 0
    printed = capsys.readouterr()
    assert f"not fetched: {REFUSING} web 0.1.0 (" in printed.err
    assert f"{REFUSING} web 0.1.0" not in json.loads(printed.out)


@pytest.mark.parametrize("url", [REFUSING, "oci://127.0.0.1:9"])
def test_a_chart_that_cannot_be_had_is_told_in_one_line(miniature: Miniature, url: str) -> None:
    publish(miniature, url)
    (why,) = fetch(miniature)
    assert why
    assert "127.0.0.1:9" in why
    assert "\n" not in why
    assert [each.rule for each in miniature.render().faults] == ["render/not-rendered"]


def test_a_range_is_not_fetched(miniature: Miniature) -> None:
    publish(miniature, REFUSING)
    miniature.edit(RELEASE, "version: 0.1.0", "version: 0.x")
    environment = miniature.render()
    assert environment.remote_charts == ()
    assert [each.rule for each in environment.faults] == ["render/not-rendered"]


def test_another_version_is_another_chart(miniature: Miniature, repository: str) -> None:
    publish(miniature, repository)
    fetch(miniature)
    miniature.edit(RELEASE, "version: 0.1.0", "version: 0.2.0")
    assert [each.rule for each in miniature.render().faults] == ["render/not-rendered"]
