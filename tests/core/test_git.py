"""Git by its plumbing: what a commit has, whatever this clone's settings and attributes say."""

from pathlib import Path

import pytest

from harness.core import command
from harness.core.command import CommandError
from harness.core.git import Git, TreeEntry


@pytest.fixture
def git(tmp_path: Path) -> Git:
    repository = Git(tmp_path)
    repository.run("init", "--quiet", "--initial-branch=main")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/crlf.txt").write_bytes(b"one\r\ntwo\r\n")
    (tmp_path / "a/\u00e9 'x'.bin").write_bytes(bytes(range(256)) * 9_000)
    (tmp_path / "a/link").symlink_to("crlf.txt")
    _commit(repository)
    return repository


def _commit(git: Git) -> None:
    git.run("add", "--all")
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "core.autocrlf=false")
    git.run(*who, "commit", "--quiet", "--message", "change")


def test_a_file_is_read_with_its_line_ends(git: Git) -> None:
    assert git.read("HEAD", "a/crlf.txt") == "one\r\ntwo\r\n"
    assert git.read("HEAD", "a/none.txt") is None
    assert git.read("HEAD", "a") is None, "a folder is not a file"


def test_entries_and_contents_are_those_of_the_tree(git: Git) -> None:
    entries = {each.path: each for each in git.entries("HEAD")}
    assert {path: each.mode for path, each in entries.items()} == {
        "a/crlf.txt": "100644",
        "a/link": "120000",
        "a/\u00e9 'x'.bin": "100644",
    }
    # Only the first is read: the next one begins where it should all the same.
    contents = git.contents([entries["a/\u00e9 'x'.bin"], entries["a/link"]])
    assert next(next(contents)[1])[:3] == b"\0\1\2"
    assert b"".join(next(contents)[1]) == b"crlf.txt"


def test_a_blob_that_is_not_there_is_an_error(git: Git) -> None:
    with pytest.raises(CommandError, match=r"a/gone\.txt"):
        list(git.contents([TreeEntry("a/gone.txt", "100644", "1" * 40)]))


def test_a_replace_ref_is_not_followed(git: Git, tmp_path: Path) -> None:
    before = git.run("rev-parse", "HEAD")
    (tmp_path / "a/crlf.txt").write_text("other\n")
    _commit(git)
    git.run("replace", before, "HEAD")
    assert git.read(before, "a/crlf.txt") == "one\r\ntwo\r\n"


@pytest.mark.parametrize("setting", ["no", "normal"])
def test_what_nobody_added_has_changed(git: Git, tmp_path: Path, setting: str) -> None:
    git.run("config", "status.showUntrackedFiles", setting)
    assert git.uncommitted_changes("a") == []
    (tmp_path / "a/new.yaml").write_text("")
    assert git.uncommitted_changes("a") == ["?? a/new.yaml"]
    assert git.uncommitted_changes("b") == []


def test_what_a_process_prints_is_read_while_it_runs_and_its_failure_is_told() -> None:
    with command.reading(["cat"], timeout=10, stdin=b"\xff" * 200_000) as output:
        assert len(output.read()) == 200_000
    with (
        pytest.raises(CommandError, match="no such"),
        command.reading(["sh", "-c", "echo no such >&2; exit 3"], timeout=10) as output,
    ):
        output.read()
    with (
        pytest.raises(CommandError, match=r"killed after 0\.2 s"),
        command.reading(["sleep", "60"], timeout=0.2) as output,
    ):
        output.read()


def test_a_process_that_nobody_reads_to_its_end_is_ended() -> None:
    with pytest.raises(ZeroDivisionError), command.reading(["yes"], timeout=60) as output:
        raise ZeroDivisionError(output.read(1))


def test_a_process_that_ended_in_time_may_be_read_slowly() -> None:
    with command.reading(["echo", "all"], timeout=0.2) as output:
        command.run(["sleep", "0.5"], timeout=10)
        assert output.read() == b"all\n"


def test_a_git_that_is_killed_is_no_damaged_clone(
    git: Git, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = git.entries("HEAD")
    program = tmp_path_factory.mktemp("programs") / "git"
    program.write_text("#!/bin/sh\nkill -KILL $$\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    with pytest.raises(CommandError, match="exit code -9") as caught:
        list(git.contents(entries))
    assert not caught.value.hint
