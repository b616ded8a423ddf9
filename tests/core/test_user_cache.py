"""What took long is kept once per user: all or nothing, and not forever."""

import os
import time
from pathlib import Path

import pytest

from harness.core import user_cache


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "torchserve-kubernetes"


def test_a_folder_comes_back_whole(tmp_path: Path) -> None:
    (tmp_path / "made" / "inner").mkdir(parents=True)
    (tmp_path / "made" / "inner" / "file").write_text("content")
    assert not user_cache.restore("schemas-1", tmp_path / "copy")
    user_cache.keep(tmp_path / "made", "schemas-1")
    assert user_cache.restore("schemas-1", tmp_path / "copy")
    assert (tmp_path / "copy" / "inner" / "file").read_text() == "content"


def test_what_was_there_stays_until_there_is_something_to_replace_it(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("content")
    assert not user_cache.restore("schemas-1", tmp_path / "old")
    assert (tmp_path / "old" / "old").exists()
    user_cache.keep(tmp_path / "new", "schemas-1")
    assert user_cache.restore("schemas-1", tmp_path / "old")
    assert [each.name for each in (tmp_path / "old").iterdir()] == ["new"]


def test_an_entry_outlives_the_checkout_that_made_it(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("content")
    user_cache.keep(program, "program-1")
    program.unlink()
    assert user_cache.restore("program-1", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "content"


def test_only_its_user_may_look_into_it(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "program").write_text("content")
    user_cache.keep(tmp_path / "program", "program-1")
    assert cache.stat().st_mode & 0o777 == 0o700


def test_an_entry_that_nobody_used_for_90_days_is_removed(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "program").write_text("content")
    for name in ("old", "used", "new"):
        user_cache.keep(tmp_path / "program", name)
        (tmp_path / "program").unlink()
        (tmp_path / "program").write_text("content")
    long_ago = time.time() - 91 * 24 * 3600
    for name in ("old", "used"):
        os.utime(cache / name, (long_ago, long_ago))
    user_cache.restore("used", tmp_path / "copy")
    user_cache.keep(tmp_path / "program", "newest")
    assert sorted(each.name for each in cache.iterdir()) == ["new", "newest", "used"]
