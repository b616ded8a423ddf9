"""Renders of commits: production's live state, and charts that meet other values."""

import shutil

import pytest

from harness.core.errors import UsageError
from harness.render import diff, digest, version_skew
from harness.render.renderer import Renderer
from tests.support.miniature import Miniature

HELMRELEASE = "apps/demo/helmrelease.yaml"


@pytest.fixture
def committed(miniature: Miniature) -> Miniature:
    miniature.commit()
    return miniature


def _version_skews(miniature: Miniature) -> list[str]:
    renderer = Renderer(miniature.repository)
    commit = version_skew.previous(miniature.repository)
    assert commit is not None
    new, old = renderer.candidate("demo"), renderer.at("demo", commit)
    return [each.message for each in version_skew.cross(renderer, new, old)]


def test_live_is_the_folder_with_the_tree_that_it_pins(committed: Miniature) -> None:
    pinned = committed.git("rev-parse", "HEAD")
    committed.edit("clusters/demo/release.yaml", "branch: main", f"commit: {pinned}")
    committed.edit("clusters/demo/site.yaml", 'ZONE: "7"', 'ZONE: "8"')
    committed.edit(HELMRELEASE, "replicas: 2", "replicas: 5")
    live = Renderer(committed.repository).live("demo")
    assert live is not None
    deployment, service = live.find("Deployment", "web"), live.find("Service", "web")
    assert deployment is not None
    assert deployment.dig("spec", "replicas") == 2  # the pinned tree's
    assert service is not None
    assert service.labels["zone"] == "zone-8"  # the folder's own


def test_a_path_that_the_pinned_tree_lacks_is_a_fault(committed: Miniature) -> None:
    pinned = committed.git("rev-parse", "HEAD")
    committed.edit("clusters/demo/release.yaml", "branch: main", f"commit: {pinned}")
    (committed.root / "apps/demo").rename(committed.root / "apps/moved")
    committed.edit("clusters/demo/apps.yaml", "./apps/demo", "./apps/moved")
    renderer = Renderer(committed.repository)
    live = renderer.live("demo")
    assert live is not None
    assert [str(each.location) for each in live.faults] == ["clusters/demo/apps.yaml:8"]
    assert renderer.candidate("demo").faults == ()


def test_nothing_is_live_while_no_commit_is_pinned(committed: Miniature) -> None:
    assert Renderer(committed.repository).live("demo") is None


def test_an_unknown_commit_is_a_wrong_call(committed: Miniature) -> None:
    with pytest.raises(UsageError, match="not in this clone"):
        Renderer(committed.repository).at("demo", "0123456789abcdef")


def test_an_old_chart_that_refuses_a_new_value_is_found(committed: Miniature) -> None:
    committed.write(
        "apps/chart/values.schema.json",
        '{"properties": {"image": {}, "replicas": {}, "settings": {}, "files": {}, "port": {}},'
        ' "additionalProperties": false}',
    )
    committed.commit()
    schema = committed.root / "apps/chart/values.schema.json"
    schema.write_text(schema.read_text().replace('"port": {}', '"port": {}, "colour": {}'))
    committed.edit(HELMRELEASE, "replicas: 2", "replicas: 2\n    colour: red")
    assert committed.render().faults == ()
    (message,) = _version_skews(committed)
    assert message.startswith("chart of ")
    assert "colour" in message


def test_an_old_chart_never_meets_values_that_come_with_another_spec_of_it(
    committed: Miniature,
) -> None:
    """helm-controller then waits for the chart of the same commit."""
    committed.edit("apps/chart/templates/deployment.yaml", "app: web\n    spec", _FORBIDDEN)
    committed.commit()
    committed.edit("apps/chart/templates/deployment.yaml", _FORBIDDEN, "app: web\n    spec")
    committed.edit(HELMRELEASE, "replicas: 2", "replicas: 2\n    colour: red")
    assert len(_version_skews(committed)) == 1
    base = "apps/base/helmrelease.yaml"
    committed.edit(base, "chart: ./apps/chart", "chart: ./apps/chart\n      interval: 2m")
    assert _version_skews(committed) == []


_FORBIDDEN = 'app: web\n{{ if .Values.colour }}{{ fail "no colour" }}{{ end }}\n    spec'


def test_a_new_chart_that_needs_a_new_value_is_found(committed: Miniature) -> None:
    committed.edit("apps/chart/templates/deployment.yaml", "app: web\n    spec", _REQUIRED)
    committed.edit(HELMRELEASE, "replicas: 2", "replicas: 2\n    colour: red")
    assert committed.render().faults == ()
    (message,) = _version_skews(committed)
    assert message.startswith("this chart with the values of ")


_REQUIRED = 'app: web\n        colour: {{ required "colour" .Values.colour }}\n    spec'


def test_a_value_with_a_default_crosses_in_peace(committed: Miniature) -> None:
    committed.edit("apps/chart/values.yaml", "replicas: 1", "replicas: 1\ncolour: red")
    committed.edit(HELMRELEASE, "replicas: 2", "replicas: 2\n    colour: blue")
    assert _version_skews(committed) == []


def test_the_difference_names_fields_and_dangers(committed: Miniature) -> None:
    committed.edit(HELMRELEASE, "replicas: 2", "replicas: 0")
    committed.edit("apps/chart/templates/deployment.yaml", "      app: web\n  temp", _SELECTOR)
    (committed.root / "apps/chart/templates/hook.yaml").unlink()
    renderer = Renderer(committed.repository)
    old, new = renderer.at("demo", "HEAD"), renderer.candidate("demo")
    changes = {f"{each.kind} {each.object}" for each in diff.compare(old, new)}
    assert changes == {
        "changed HelmRelease/flux-system/web",
        "changed Deployment/demo/web",
        "removed Job/demo/prepare",
    }
    dangers = {(each.kind, each.object.kind) for each in diff.dangers(diff.compare(old, new))}
    assert dangers == {("stopped", "Deployment"), ("immutable", "Deployment")}


_SELECTOR = "      app: web\n      new: label\n  temp"


def test_a_release_digest_survives_a_docs_commit_and_changes_with_what_runs(
    committed: Miniature,
) -> None:
    def release() -> str:
        return digest.release_digest(Renderer(committed.repository).at("demo", committed.commit()))

    first = digest.release_digest(Renderer(committed.repository).at("demo", "HEAD"))
    committed.write("why.md", "because")
    assert release() == first
    committed.edit("clusters/demo/release.yaml", "branch: main", f"commit: {'a' * 40}")
    assert digest.release_digest(Renderer(committed.repository).candidate("demo")) == first
    committed.edit("clusters/demo/release.yaml", f"commit: {'a' * 40}", "branch: main")
    committed.edit(HELMRELEASE, "replicas: 2", "replicas: 5")
    assert release() != first


def test_a_digest_needs_no_file_of_the_tree_any_more(committed: Miniature) -> None:
    """A commit is laid out for a render, and gone afterwards."""
    rendered = Renderer(committed.repository).candidate("demo")
    before = digest.release_digest(rendered)
    shutil.rmtree(committed.root / "apps")
    assert digest.release_digest(rendered) == before
