"""Credentials are looked for in every file that Git has or would take, and nowhere else."""

import subprocess
from pathlib import Path

import pytest

from harness import tools
from harness.core.repository import Repository
from harness.policy import credentials, engine
from harness.policy.report import as_text
from tests.support import variation

KEY = "AKIA" + "2B3C4D5E6F7GHIJK"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty repository of Git, with the pinned tools."""
    for name in ("build", "tools"):
        (tmp_path / name).symlink_to(variation.ROOT / name)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("/build\n/tools\nignored.env\n")
    tools.find(Repository(variation.ROOT), "find-credentials")
    return Repository(tmp_path)


def _places(repository: Repository) -> set[str]:
    return {str(each.location) for each in credentials.find(repository) or ()}


def test_files_that_git_has_or_would_take(repository: Repository) -> None:
    for name in ("tracked.env", "new.env", "ignored.env"):
        (repository.root / name).write_text(f"# a key\nID={KEY}\n")
    subprocess.run(["git", "-C", repository.root, "add", "tracked.env"], check=True)

    assert _places(repository) == {"tracked.env:2", "new.env:2"}


def test_every_file_where_there_is_no_git(repository: Repository) -> None:
    (repository.root / "a").mkdir()
    (repository.root / "a" / "ignored.env").write_text(f"ID={KEY}\n")
    (repository.root / ".git").rename(repository.root / "elsewhere")

    assert "a/ignored.env:1" in _places(repository)


def test_a_file_that_changes_is_scanned_again(repository: Repository) -> None:
    note = repository.root / "note.txt"
    note.write_text("nothing\n")
    assert not _places(repository)

    note.write_text(f"{KEY}\n")

    assert _places(repository) == {"note.txt:1"}


def test_links_and_binary_files_are_left_out(repository: Repository) -> None:
    (repository.root / "picture.bin").write_bytes(b"\0" + KEY.encode())
    (repository.root / "link.txt").symlink_to(variation.ROOT / "README.md")

    assert not _places(repository)


def test_the_credential_itself_is_never_said(repository: Repository) -> None:
    (repository.root / "note.txt").write_text(f"{KEY}\n")

    assert KEY not in str(credentials.find(repository))


def test_a_machine_without_the_scanner_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copied = variation.copy(tmp_path / "copy")
    for name in ("build", "tools"):
        (copied.root / name).unlink()
    (copied.root / "tools").symlink_to(variation.ROOT / "tools")
    shared = copied.root / "build" / "tools"
    (shared / "bin").mkdir(parents=True)
    (shared / "schemas").symlink_to(variation.ROOT / "build/tools/schemas")
    for program in (variation.ROOT / "build/tools/bin").iterdir():
        if not program.name.startswith("find-credentials"):
            (shared / "bin" / program.name).symlink_to(program)

    report = engine.check(copied)

    assert report.not_run == (credentials.NOT_SCANNED,)
    assert "`harness tools`" in as_text(report)
    assert "1 not run" in as_text(report)


def test_a_file_that_goes_while_files_are_read_is_left_out(repository: Repository) -> None:
    program = tools.at_hand(repository, "find-credentials")
    assert program
    gone, still = "apps/gone.yaml", "note.txt"
    (repository.root / still).write_text(f"{KEY}\n")

    assert {
        path
        for path, rows in credentials.scan(repository.root, program, [gone, still]).items()
        if rows
    } == {still}
