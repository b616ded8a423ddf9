"""Two clusters follow one repository: staging what is on main, production what it pins."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.archives import model_store
from harness.core import files
from harness.core.repository import Repository
from harness.core.values import dig, items, text
from harness.kubernetes import drift, kinds, pod_settings, reconciliation, status
from harness.local_cluster.local import LocalCluster
from harness.render import digest
from tests.e2e import render_vs_applied, user_clone
from tests.e2e.scenario import NAME
from tests.e2e.timeline import Timeline
from tests.e2e.two_clusters import TwoClusters, running
from tests.e2e.user_clone import MODEL, SECOND_GROUP, SECOND_MODEL, SECOND_SET
from tests.support import aws_fixtures
from tests.support.aws_server import Shim

# Two clusters start, and a model goes all the way twice: the longest that there is.
pytestmark = pytest.mark.timeout(1800)
front, shim = aws_fixtures.front, aws_fixtures.shim


@pytest.fixture(scope="module")
def two_clusters(checkout: Repository) -> Iterator[TwoClusters]:
    with running(checkout) as clusters:
        yield clusters


def _queue(cluster: LocalCluster) -> str:
    lines = _settings(cluster)["config.properties"].splitlines()
    return next(line for line in lines if line.startswith("job_queue_size="))


def _settings(cluster: LocalCluster, group: str = NAME) -> dict[str, str]:
    """The settings that the servers of a group start with."""
    return pod_settings.of(cluster.api.get(kinds.DEPLOYMENT, group, NAME) or {})


def _pods(cluster: LocalCluster) -> set[str]:
    pods = cluster.api.list_all(kinds.POD, NAME)
    return {
        text(pod, "metadata", "uid")
        for pod in pods
        if not dig(pod, "metadata", "deletionTimestamp")
    }


def _digest(two_clusters: TwoClusters, commit: str, folder: Path) -> str:
    two_clusters.staging.bare.export(commit, folder)
    return digest.release_digest(
        render_vs_applied.render(two_clusters.staging.repository, folder, "staging")
    )


def test_commit_reaches_staging_and_production_only_by_its_pin(two_clusters: TwoClusters) -> None:
    before, pods = _queue(two_clusters.production), _pods(two_clusters.production)
    commit = two_clusters.change(321)
    two_clusters.sync(commit)
    assert _queue(two_clusters.staging) == "job_queue_size=321"
    assert _queue(two_clusters.production) == before
    assert _pods(two_clusters.production) == pods

    checkout = Repository(two_clusters.staging.bare.path)
    screen = status.collect(two_clusters.production.api, checkout)
    assert screen.pinned
    assert screen.main == commit
    assert screen.release != commit
    assert screen.behind
    assert not list(drift.differences(screen, checkout, "production", commit))

    moved = two_clusters.pin(commit)
    assert list(drift.differences(screen, checkout, "production", moved)) == [
        f"follows {commit[:12]}, and main is at {moved[:12]}",
        f"runs {screen.release[:12]}, and main pins {commit[:12]}",
    ]
    two_clusters.sync(moved)
    assert _queue(two_clusters.production) == "job_queue_size=321"
    promoted = two_clusters.production.api.get(
        kinds.GIT_REPOSITORY, "release", kinds.FLUX_NAMESPACE
    )
    assert text(promoted, "status", "artifact", "revision").endswith(commit)

    two_clusters.sync(two_clusters.pin(screen.release))
    assert _queue(two_clusters.production) == before, "the pointer moved back: rolled back"
    assert reconciliation.ready(
        two_clusters.production.api.get(kinds.HELM_RELEASE, NAME, kinds.FLUX_NAMESPACE) or {}
    )


def test_documentation_changes_nothing_that_runs(two_clusters: TwoClusters, tmp_path: Path) -> None:
    two_clusters.sync(two_clusters.pin(two_clusters.staging.bare.head()))
    pods = [_pods(cluster) for cluster in (two_clusters.staging, two_clusters.production)]
    before = two_clusters.staging.bare.head()
    commit = two_clusters.staging.bare.commit({"docs/note.md": "Only words.\n"}, "Words")
    assert _digest(two_clusters, before, tmp_path / "a") == _digest(
        two_clusters, commit, tmp_path / "b"
    )
    two_clusters.sync(commit)
    two_clusters.sync(two_clusters.pin(commit))
    assert [_pods(cluster) for cluster in (two_clusters.staging, two_clusters.production)] == pods


def _models(cluster: LocalCluster) -> dict[str, str]:
    """The archives of each group, whose HelmRelease is Ready."""
    releases = model_store.releases(cluster.api)
    assert all(map(reconciliation.ready, releases.values()))
    return {group: _settings(cluster, group)["model-files.json"] for group in releases}


def _images(cluster: LocalCluster) -> dict[str, str]:
    """The digest of each group's image."""
    return {group: _image(cluster, group) for group in model_store.releases(cluster.api)}


def _image(cluster: LocalCluster, group: str) -> str:
    deployment = cluster.api.get(kinds.DEPLOYMENT, group, NAME) or {}
    containers = items(deployment, "spec", "template", "spec", "containers")
    [image] = [text(each, "image") for each in containers if text(each, "name") == NAME]
    return image.rpartition("@")[2]


def test_from_a_new_model_to_production_and_no_further_with_a_worse_one(
    two_clusters: TwoClusters, shim: Shim, tmp_path: Path, timeline: Timeline
) -> None:
    with timeline.step("a clone, a bucket each, a first release"):
        clone = user_clone.prepare(two_clusters, tmp_path, shim.url)
        clone.model("6.2.3")
        clone.propose("Two environments")
        first = clone.git.run("rev-parse", "HEAD")
        two_clusters.sync(two_clusters.pin(first))
        clone.git.run("pull", "--quiet", "--ff-only")
        clone.harness("release", "copy", "--commit", first)
    served = _models(two_clusters.production)
    one, other = two_clusters.registry.digest, two_clusters.registry.other_digest
    assert _images(two_clusters.production) == {NAME: one, SECOND_GROUP: one}

    with timeline.step("a new version, and an image of its own for the second group: merged"):
        clone.image_set(other)
        clone.model("6.2.4")
        clone.propose("A new model, and an image set")
        good = clone.git.run("rev-parse", "HEAD")
    with timeline.step("staging syncs"):
        two_clusters.sync(good)
    assert "silero_vad-6.2.4-" in _models(two_clusters.staging)[NAME]
    assert _models(two_clusters.production) == served
    assert _images(two_clusters.staging) == {NAME: one, SECOND_GROUP: other}
    assert _images(two_clusters.production) == {NAME: one, SECOND_GROUP: one}
    with timeline.step("environment of the image set, from uv's cache"):
        clone.harness("sets", "setup", SECOND_SET)
    with timeline.step("load test and smoke test, signed and kept"):
        clone.prove()
    timeline.add(clone.root / "build/loadtest/staging/report.json")
    report = json.loads((clone.root / "build/loadtest/staging/report.json").read_text())
    assert report["embedded"], "it says what it is"
    assert report["release"]["commit"] == good
    groups = {part["model"]: part["group"] for part in report["mix"]}
    assert groups == {MODEL: NAME, SECOND_MODEL: SECOND_GROUP}
    settings = clone.root / f"build/serve/staging-{SECOND_GROUP}/config.properties"
    assert f"/.venv-{SECOND_SET}/bin/python" in settings.read_text(), "its workers ran in it"
    image = f"{two_clusters.registry.address}/production/torchserve"
    with timeline.step("refused: production lacks the archive and the second image"):
        output = clone.promote(code=1)
        assert "production-models lacks silero_vad-6.2.4-" in output
        assert f"image {image}@{other} not found" in output
        assert f"{image}@{other} is not signed by" in output
        assert one not in output, "production has the first image, and its signature"
    with timeline.step("the archive and the image are copied"):
        copied = clone.harness("release", "copy")
        assert f"already present {image}@{one}" in copied
        assert f"copied          {image}@{other}" in copied
        again = clone.harness("release", "copy")
        assert "copied " not in again
    with timeline.step("promoted"):
        assert "open a pull request" in clone.promote()
        assert "(already exists)" in clone.promote()
    changed = clone.git.run("diff", "--name-only", "main...promote/production").splitlines()
    path = f"clusters/production/evidence/{good}.json"
    assert changed == [path, f"{path}.sig", "clusters/production/release.yaml"]
    message = clone.git.run("log", "-1", "--format=%B", "promote/production")
    assert f"{SECOND_MODEL} ({SECOND_GROUP}) " in message
    assert f"requests to groups {SECOND_GROUP} and {NAME}, signed by ada@example.com" in message
    with timeline.step("production syncs the same commit"):
        two_clusters.sync(clone.merge("promote/production"))
    assert _models(two_clusters.production) == _models(two_clusters.staging)
    assert _images(two_clusters.production) == {NAME: one, SECOND_GROUP: other}
    assert _release(two_clusters.production) == good

    with timeline.step("a worse version, merged; staging syncs"):
        clone.model("6.2.5", slow=True)
        clone.excuse()  # production's pointer has its evidence now
        clone.propose("A worse model")
        two_clusters.sync(clone.git.run("rev-parse", "HEAD"))
    with timeline.step("its load test fails"):
        clone.prove(code=1)
    timeline.add(clone.root / "build/loadtest/staging/report.json")
    with timeline.step("refused"):
        output = clone.promote(code=1)
        assert "refused: load test, SLOs" in output
        assert "p50 of all" in output
    with timeline.step("staging is reverted"):
        back = clone.revert()
        two_clusters.sync(back)
    assert _models(two_clusters.staging) == _models(two_clusters.production)
    assert _release(two_clusters.production) == good

    moves = json.loads(clone.harness("release", "list", "--env", "production", "--json", "--html"))
    page = (clone.root / "build/releases/production.html").read_text()
    assert good[:12] in page
    files.write(two_clusters.staging.repository.build / "e2e" / "releases.html", page)
    assert [each["commit"] for each in moves[:2]] == [good, first]
    assert moves[0]["signed_by"] == "ada@example.com"
    with timeline.step("rolled back"):
        clone.harness(
            "release", "rollback", "--env", "production", "--reason", "to see that it works"
        )
        two_clusters.sync(clone.merge("rollback/production"))
    assert _models(two_clusters.production) == served
    assert _images(two_clusters.production) == {NAME: one, SECOND_GROUP: one}


def _release(cluster: LocalCluster) -> str:
    """The commit that a cluster runs."""
    source = cluster.api.get(kinds.GIT_REPOSITORY, "release", kinds.FLUX_NAMESPACE)
    return text(source, "status", "artifact", "revision").rpartition(":")[2]
