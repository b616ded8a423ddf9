"""A file is written whole or not at all."""

from pathlib import Path

import pytest

from harness.core import files
from harness.core.errors import HarnessError


def test_a_file_that_holds_the_content_already_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    assert files.write(path, "one")
    before = path.stat()
    assert not files.write(path, "one")
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_an_error_while_writing_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write(path, "old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_one_clear_error(unwritable: Path) -> None:
    with pytest.raises(HarnessError) as refused:
        files.write(unwritable / "file", "x")
    assert refused.value.exit_code == 3
    assert str(unwritable) in str(refused.value)
    assert "free some disk space" in str(refused.value)


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    """/dev/full answers every write with ENOSPC, as a full disk does."""
    with (
        pytest.raises(HarnessError, match="No space left on device"),
        files.replacing(tmp_path / "file"),
        Path("/dev/full").open("wb") as full,
    ):
        full.write(b"x")
    assert list(tmp_path.iterdir()) == []


def test_the_hash_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert files.sha256(path).startswith("ba7816bf8f01cfea414140de5dae2223")
