"""Two clusters follow one repository: staging what is on main, production what it pins."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core import files
from harness.core.repository import Repository
from harness.core.values import dig, text
from harness.kubernetes import drift, kinds, pod_settings, reconciliation, status
from harness.local_cluster.local import LocalCluster
from harness.render import digest
from tests import aws_fixtures
from tests.aws_server import Shim
from tests.e2e import oracle, rehearsal
from tests.e2e.lab import NAME
from tests.e2e.pair import Pair, running
from tests.e2e.timeline import Timeline

# Two clusters start, and a model goes all the way twice: the longest that there is.
pytestmark = pytest.mark.timeout(720)
front, shim = aws_fixtures.front, aws_fixtures.shim


@pytest.fixture(scope="module")
def pair(checkout: Repository) -> Iterator[Pair]:
    with running(checkout) as made:
        yield made


def _queue(cluster: LocalCluster) -> str:
    lines = _settings(cluster)["config.properties"].splitlines()
    return next(line for line in lines if line.startswith("job_queue_size="))


def _settings(cluster: LocalCluster) -> dict[str, str]:
    """The settings that a cluster's servers start with."""
    return pod_settings.of(cluster.api.get(kinds.DEPLOYMENT, NAME, NAME) or {})


def _pods(cluster: LocalCluster) -> set[str]:
    pods = cluster.api.list_all(kinds.POD, NAME)
    return {
        text(pod, "metadata", "uid")
        for pod in pods
        if not dig(pod, "metadata", "deletionTimestamp")
    }


def _digest(pair: Pair, commit: str, folder: Path) -> str:
    pair.staging.bare.export(commit, folder)
    return digest.of(oracle.render(pair.staging.repository, folder, "staging"))


def test_commit_reaches_staging_and_production_only_by_its_pin(pair: Pair) -> None:
    before, pods = _queue(pair.production), _pods(pair.production)
    commit = pair.change(321)
    pair.sync(commit)
    assert _queue(pair.staging) == "job_queue_size=321"
    assert _queue(pair.production) == before
    assert _pods(pair.production) == pods

    checkout = Repository(pair.staging.bare.path)
    screen = status.collect(pair.production.api, checkout)
    assert screen.pinned
    assert screen.main == commit
    assert screen.release != commit
    assert screen.behind
    assert not list(drift.differences(screen, checkout, "production", commit))

    moved = pair.pin(commit)
    assert list(drift.differences(screen, checkout, "production", moved)) == [
        f"follows {commit[:12]}, and main is at {moved[:12]}",
        f"runs {screen.release[:12]}, and main says {commit[:12]}",
    ]
    pair.sync(moved)
    assert _queue(pair.production) == "job_queue_size=321"
    promoted = pair.production.api.get(kinds.GIT_REPOSITORY, "release", kinds.FLUX_NAMESPACE)
    assert text(promoted, "status", "artifact", "revision").endswith(commit)

    pair.sync(pair.pin(screen.release))
    assert _queue(pair.production) == before, "the pointer moved back: rolled back"
    assert reconciliation.ready(
        pair.production.api.get(kinds.HELM_RELEASE, NAME, kinds.FLUX_NAMESPACE) or {}
    )


def test_documentation_changes_nothing_that_runs(pair: Pair, tmp_path: Path) -> None:
    pair.sync(pair.pin(pair.staging.bare.head()))
    pods = [_pods(cluster) for cluster in (pair.staging, pair.production)]
    before = pair.staging.bare.head()
    commit = pair.staging.bare.commit({"docs/note.md": "Only words.\n"}, "Words")
    assert _digest(pair, before, tmp_path / "a") == _digest(pair, commit, tmp_path / "b")
    pair.sync(commit)
    pair.sync(pair.pin(commit))
    assert [_pods(cluster) for cluster in (pair.staging, pair.production)] == pods


def _models(cluster: LocalCluster) -> str:
    return _settings(cluster)["model-files.json"]


def test_from_a_new_model_to_production_and_no_further_with_a_worse_one(
    pair: Pair, shim: Shim, tmp_path: Path, timeline: Timeline
) -> None:
    with timeline.step("a clone, a bucket each, a first release"):
        desk = rehearsal.prepare(pair, tmp_path, shim.url)
        desk.model("6.2.3")
        desk.propose("Two environments")
        first = desk.git.run("rev-parse", "HEAD")
        pair.sync(pair.pin(first))
        desk.git.run("pull", "--quiet", "--ff-only")
        desk.harness("release", "copy", "--commit", first)
    served = _models(pair.production)

    with timeline.step("a new version: built, locked, pushed, merged"):
        desk.model("6.2.4")
        desk.propose("A new model")
        good = desk.git.run("rev-parse", "HEAD")
    with timeline.step("staging syncs"):
        pair.sync(good)
    assert "silero_vad-6.2.4-" in _models(pair.staging)
    assert _models(pair.production) == served
    with timeline.step("load test and smoke test, signed and kept"):
        desk.prove()
    timeline.add(desk.root / "build/loadtest/staging/report.json")
    report = json.loads((desk.root / "build/loadtest/staging/report.json").read_text())
    assert report["embedded"], "it says what it is"
    assert report["release"]["commit"] == good
    with timeline.step("refused: production lacks the archive"):
        said = desk.promote(code=1)
        assert "production-models lacks silero_vad-6.2.4-" in said
    with timeline.step("the archive is copied"):
        desk.harness("release", "copy")
        again = desk.harness("release", "copy")
        assert "copied " not in again
    with timeline.step("promoted"):
        assert "open a pull request" in desk.promote()
        assert "(already exists)" in desk.promote()
    changed = desk.git.run("diff", "--name-only", "main...promote/production").splitlines()
    path = f"clusters/production/evidence/{good}.json"
    assert changed == [path, f"{path}.sig", "clusters/production/release.yaml"]
    with timeline.step("production syncs the same commit"):
        pair.sync(desk.merge("promote/production"))
    assert _models(pair.production) == _models(pair.staging)
    assert _release(pair.production) == good

    with timeline.step("a worse version, merged; staging syncs"):
        desk.model("6.2.5", slow=True)
        desk.excuse()  # production's pointer has its evidence now
        desk.propose("A worse model")
        pair.sync(desk.git.run("rev-parse", "HEAD"))
    with timeline.step("its load test fails"):
        desk.prove(code=1)
    timeline.add(desk.root / "build/loadtest/staging/report.json")
    with timeline.step("refused"):
        said = desk.promote(code=1)
        assert "refused: load test, SLOs" in said
        assert "p50 of all" in said
    with timeline.step("staging is reverted"):
        back = desk.revert()
        pair.sync(back)
    assert _models(pair.staging) == _models(pair.production)
    assert _release(pair.production) == good

    moves = json.loads(desk.harness("release", "list", "--env", "production", "--json", "--html"))
    page = (desk.root / "build/releases/production.html").read_text()
    assert good[:12] in page
    files.write(pair.staging.repository.build / "e2e" / "releases.html", page)
    assert [each["commit"] for each in moves[:2]] == [good, first]
    assert moves[0]["signed_by"] == "ada@example.com"
    with timeline.step("rolled back"):
        desk.harness(
            "release", "rollback", "--env", "production", "--reason", "to see that it works"
        )
        pair.sync(desk.merge("rollback/production"))
    assert _models(pair.production) == served


def _release(cluster: LocalCluster) -> str:
    """The commit that a cluster runs."""
    source = cluster.api.get(kinds.GIT_REPOSITORY, "release", kinds.FLUX_NAMESPACE)
    return text(source, "status", "artifact", "revision").rpartition(":")[2]
