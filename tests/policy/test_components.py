"""A component comes with the release: it can be merged while production pins an older commit."""

import shutil
from pathlib import Path

import pytest

from harness.policy import engine
from tests.policy.test_promoted import Clone

LINE = "  - ../../../infra/monitoring\n"
ENVIRONMENTS = ("staging", "production")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """Production pins a commit in which there is no component."""
    clone = Clone(tmp_path / "repository")
    for env in ENVIRONMENTS:
        listing = clone.root / f"apps/torchserve/{env}/kustomization.yaml"
        listing.write_text(listing.read_text().replace(LINE, ""))
    shutil.move(clone.root / "infra/monitoring", tmp_path / "monitoring")
    older = clone.commit()
    release = clone.root / "clusters/production/release.yaml"
    release.write_text(release.read_text().replace("commit: UNSET", f"commit: {older}"))
    shutil.move(tmp_path / "monitoring", clone.root / "infra/monitoring")
    clone.commit()
    return clone


def findings_by_rule(clone: Clone) -> set[str]:
    return {f"{each.rule} {each.environments}" for each in engine.check(clone.repository).findings}


def test_a_component_that_the_release_lists_stops_nothing(clone: Clone) -> None:
    for env in ENVIRONMENTS:
        listing = clone.root / f"apps/torchserve/{env}/kustomization.yaml"
        listing.write_text(listing.read_text() + LINE)
    clone.commit()
    # The pin was set by hand, which has nothing to do with it.
    assert findings_by_rule(clone) == {"promotion/evidence ()"}


def test_one_under_clusters_stops_what_production_runs(clone: Clone) -> None:
    for env in ENVIRONMENTS:
        shutil.copy(clone.root / "infra/monitoring/flux.yaml", clone.root / f"clusters/{env}")
        listing = clone.root / f"clusters/{env}/kustomization.yaml"
        listing.write_text(
            listing.read_text().replace("  - apps.yaml", "  - apps.yaml\n  - flux.yaml")
        )
    clone.commit()
    assert "render/kustomize ('production (live)',)" in findings_by_rule(clone)
