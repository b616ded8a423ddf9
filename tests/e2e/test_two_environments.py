"""Two clusters follow one repository: staging what is on main, production what it pins."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.cluster import drift, flux, kinds, local, status, synced
from harness.cluster.local import LocalCluster
from harness.core.repository import Repository
from harness.render import digest
from harness.render.objects import dig, text
from tests.e2e import oracle
from tests.e2e.lab import NAME

_RELEASE = "clusters/production/release.yaml"
_PROPERTIES = "apps/torchserve/{}/config.properties"
_BOTH = ("staging", "production")


@dataclass
class Pair:
    """Staging, whose Git server both fetch from, and production."""

    staging: LocalCluster
    production: LocalCluster

    def derive(self) -> str:
        """Staging and production folders made from local's; production pins the commit of it."""
        bare = self.staging.bare
        self.staging.take()
        changes: dict[str, str | None] = {}
        for env in _BOTH:
            for parent in ("clusters", "apps/torchserve"):
                changes |= dict.fromkeys(bare.files(f"{parent}/{env}"))
                for path in bare.files(f"{parent}/local"):
                    text = bare.read(path).replace(
                        "apps/torchserve/local", f"apps/torchserve/{env}"
                    )
                    changes[path.replace("/local/", f"/{env}/")] = text
        return self.pin(bare.commit(changes, "Two environments like local"))

    def pin(self, commit: str) -> str:
        """Move production's pointer in a commit on main, and return that commit."""
        bare = self.staging.bare
        head, _, _ = bare.read(_RELEASE).partition("    commit:")
        head, _, _ = head.partition("    branch:")
        return bare.commit({_RELEASE: f"{head}    commit: {commit}\n"}, f"Pin {commit[:12]}")

    def change(self, value: int) -> str:
        """A setting changed in both environments, on main."""
        bare = self.staging.bare
        changes: dict[str, str | None] = {}
        for env in _BOTH:
            path = _PROPERTIES.format(env)
            lines = bare.read(path).splitlines(keepends=True)
            changes[path] = "".join(
                f"job_queue_size={value}\n" if line.startswith("job_queue_size=") else line
                for line in lines
            )
        return bare.commit(changes, f"Queue {value}")

    def sync(self, commit: str) -> None:
        for cluster in (self.staging, self.production):
            synced.request(cluster.api)
        for cluster in (self.staging, self.production):
            cluster.sync(commit, checked=False)


@pytest.fixture(scope="module")
def pair(checkout: Repository) -> Iterator[Pair]:
    with (
        local.running(checkout, "e2e-staging") as staging,
        local.running(checkout, "e2e-production") as production,
    ):
        pair = Pair(staging, production)
        commit = pair.derive()
        for cluster, env in zip((staging, production), _BOTH, strict=True):
            cluster.follow(env, staging.url)
        pair.sync(commit)
        yield pair


def _queue(cluster: LocalCluster) -> str:
    config = cluster.api.get(kinds.CONFIG_MAP, NAME, NAME)
    lines = text(config, "data", "config.properties").splitlines()
    return next(line for line in lines if line.startswith("job_queue_size="))


def _pods(cluster: LocalCluster) -> set[str]:
    pods = cluster.api.every(kinds.POD, NAME)
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
    screen = status.look(pair.production.api, checkout)
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
    promoted = pair.production.api.get(kinds.GIT_REPOSITORY, "release", flux.NAMESPACE)
    assert text(promoted, "status", "artifact", "revision").endswith(commit)

    pair.sync(pair.pin(screen.release))
    assert _queue(pair.production) == before, "the pointer moved back: rolled back"
    assert synced.ready(pair.production.api.get(kinds.HELM_RELEASE, NAME, flux.NAMESPACE) or {})


def test_documentation_changes_nothing_that_runs(pair: Pair, tmp_path: Path) -> None:
    pair.sync(pair.pin(pair.staging.bare.head()))
    pods = [_pods(cluster) for cluster in (pair.staging, pair.production)]
    before = pair.staging.bare.head()
    commit = pair.staging.bare.commit({"docs/note.md": "Only words.\n"}, "Words")
    assert _digest(pair, before, tmp_path / "a") == _digest(pair, commit, tmp_path / "b")
    pair.sync(commit)
    pair.sync(pair.pin(commit))
    assert [_pods(cluster) for cluster in (pair.staging, pair.production)] == pods
