"""What is garbage: no branch, tag, recorded release or evidence needs it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.repository import Repository
from harness.store import gc

RELEASE = "kind: GitRepository\nspec:\n  ref:\n    commit: {}\n"


@pytest.fixture
def history(tmp_path: Path) -> Callable[..., str]:
    """A repository; each call commits a lock with one archive, and says the commit."""

    def git(*words: str) -> str:
        argv = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *words]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet", "--initial-branch=main")

    def commit(mar: str, pointing_at: str = "UNSET") -> str:
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / "models/lock.yaml").write_text(f"models:\n  a:\n    mar: {mar}\n")
        (tmp_path / "clusters/production").mkdir(parents=True, exist_ok=True)
        release = tmp_path / "clusters/production/release.yaml"
        release.write_text(RELEASE.format(pointing_at))
        git("add", "--all")
        git("commit", "--quiet", "--message", mar)
        return git("rev-parse", "HEAD")

    return commit


def test_every_commit_that_production_ever_ran_keeps_its_archives(
    history: Callable[..., str], tmp_path: Path
) -> None:
    first = history("first.mar")
    second = history("second.mar", pointing_at=first)
    history("never-released.mar", pointing_at=second)
    history("newest.mar")
    assert gc.needed(Repository(tmp_path)) == {"first.mar", "second.mar", "newest.mar"}


def test_evidence_and_what_is_not_committed_count(
    history: Callable[..., str], tmp_path: Path
) -> None:
    proved = history("proved.mar")
    history("newest.mar")
    evidence = tmp_path / "clusters/production/evidence"
    evidence.mkdir()
    (evidence / f"{proved}.json").write_text("{}")
    (tmp_path / "models/lock.yaml").write_text("models:\n  a:\n    mar: pushed-just-now.mar\n")
    assert gc.needed(Repository(tmp_path)) == {"proved.mar", "newest.mar", "pushed-just-now.mar"}
