"""What is garbage: no branch, tag, recorded release or evidence needs it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.archives import gc
from harness.core.errors import HarnessError, InputError
from harness.core.repository import Repository

RELEASE = "kind: GitRepository\nspec:\n  ref:\n    commit: {}\n"


@pytest.fixture
def history(tmp_path: Path) -> Callable[..., str]:
    """A repository; each call commits a lock with one archive, and says the commit."""

    def git(*words: str) -> str:
        argv = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *words]
        result = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
        return result.stdout.strip()

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
    assert gc.needed_archives(Repository(tmp_path)) == {"first.mar", "second.mar", "newest.mar"}


def test_evidence_and_what_is_not_committed_count(
    history: Callable[..., str], tmp_path: Path
) -> None:
    proved = history("proved.mar")
    history("newest.mar")
    evidence = tmp_path / "clusters/production/evidence"
    evidence.mkdir()
    (evidence / f"{proved}.json").write_text("{}")
    (tmp_path / "models/lock.yaml").write_text("models:\n  a:\n    mar: pushed-just-now.mar\n")
    assert gc.needed_archives(Repository(tmp_path)) == {
        "proved.mar",
        "newest.mar",
        "pushed-just-now.mar",
    }


def test_every_group_of_every_commit_keeps_its_archives_and_so_does_the_layout_before_groups(
    history: Callable[..., str], tmp_path: Path
) -> None:
    app = tmp_path / "apps" / "torchserve" / "staging"
    for path, mar in (
        ("model-files.yaml", "before-groups.mar"),
        ("torchserve/model-files.yaml", "of-the-first.mar"),
        ("vision/model-files.yaml", "of-a-group-that-is-gone.mar"),
    ):
        (app / path).parent.mkdir(parents=True, exist_ok=True)
        (app / path).write_text(f"modelStore:\n  files:\n  - name: {mar}\n")
        released = history("locked.mar")
        (app / path).unlink()
        _git(tmp_path, "tag", path.replace("/", "-"), released)
    (app / "speech").mkdir()
    (app / "speech" / "model-files.yaml").write_text("- name: not-committed.mar\n")
    assert gc.needed_archives(Repository(tmp_path)) == {
        "locked.mar",
        "before-groups.mar",
        "of-the-first.mar",
        "of-a-group-that-is-gone.mar",
        "not-committed.mar",
    }


def _git(folder: Path, *words: str) -> str:
    argv = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@localhost", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("text", ["", "spec: [", "spec: 5\n", "kind: GitRepository\n"])
def test_nothing_is_garbage_while_nobody_knows_what_an_environment_runs(
    history: Callable[..., str], tmp_path: Path, text: str
) -> None:
    history("newest.mar")
    (tmp_path / "clusters/production/release.yaml").write_text(text)
    with pytest.raises(InputError, match=r"clusters/production/release\.yaml"):
        gc.needed_archives(Repository(tmp_path))


@pytest.mark.parametrize("attributes", ["*.yaml binary\n", "*.yaml -diff\n"])
@pytest.mark.parametrize("place", [".gitattributes", ".git/info/attributes"])
def test_attributes_hide_no_pin(
    history: Callable[..., str], tmp_path: Path, attributes: str, place: str
) -> None:
    """`git grep` and `git log --patch` say of such a file only that it differs."""
    first = history("first.mar")
    history("second.mar", pointing_at=first)
    history("third.mar", pointing_at="UNSET")
    (tmp_path / ".git/info").mkdir(exist_ok=True)
    (tmp_path / place).write_text(attributes)
    _git(tmp_path, "tag", "kept", "HEAD~1")
    assert gc.needed_archives(Repository(tmp_path)) == {"first.mar", "second.mar", "third.mar"}


def test_what_main_has_gained_since_the_last_fetch_is_needed(
    history: Callable[..., str], tmp_path: Path
) -> None:
    history("first.mar")
    clone = tmp_path / "clone"
    _git(tmp_path, "clone", "--quiet", f"file://{tmp_path}", str(clone))
    history("gained.mar")
    assert gc.needed_archives(Repository(clone)) == {"first.mar", "gained.mar"}


def test_nothing_is_garbage_while_origin_does_not_answer(
    history: Callable[..., str], tmp_path: Path
) -> None:
    history("first.mar")
    clone = tmp_path / "clone"
    _git(tmp_path, "clone", "--quiet", f"file://{tmp_path}", str(clone))
    _git(clone, "remote", "set-url", "origin", f"file://{tmp_path}/gone")
    with pytest.raises(HarnessError, match="origin cannot be fetched"):
        gc.needed_archives(Repository(clone))
