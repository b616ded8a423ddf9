"""What the gc Job's program removes from a store, and what it never touches."""

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.archives.sync_job import MODULES

# Ends as if it had been killed: when the first archive is about to be removed.
KILLED = """
import os, pathlib, runpy, sys
unlink = pathlib.Path.unlink
def killed(path, **rest):
    if path.suffix == ".mar":
        os._exit(9)
    unlink(path, **rest)
pathlib.Path.unlink = killed
sys.argv[0] = "model_sync.gc"
runpy.run_module("model_sync.gc", run_name="__main__")
"""


@dataclass
class Sweep:
    """A store, and the Job that sweeps it."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "data" / "model_store"

    def argv(self, *options: str) -> list[str]:
        return [f"--store={self.store}", f"--keep={self.folder / 'keep.json'}", *options]

    def start(self, *options: str, how: tuple[str, ...] = ("-m", "model_sync.gc")):  # noqa: ANN201, RUF100
        return subprocess.Popen(
            [sys.executable, *how, *self.argv(*options)], cwd=MODULES, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={},
        )  # fmt: skip

    def run(self, *options: str, how: tuple[str, ...] = ("-m", "model_sync.gc")) -> tuple[int, str]:
        with self.start(*options, how=how) as process:
            out = process.communicate(timeout=60)[0]
        return process.returncode, out

    def unneeded_archives(self, *options: str) -> dict[str, int]:
        code, out = self.run(*options)
        assert code == 0, out
        return {each["name"]: each["size"] for each in json.loads(out)["unneeded"]}

    def holds(self) -> set[str]:
        return {path.name for path in self.store.iterdir()} - {".lock"}

    def manifest(self) -> set[str]:
        return {each["name"] for each in json.loads((self.store / "manifest.json").read_text())}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """A store with two archives that are known, one that is not, and other things."""
    sweep_job = Sweep(tmp_path)
    sweep_job.store.mkdir(parents=True)
    for name in ("new-1.mar", "old-1.mar", "by-hand.mar"):
        (sweep_job.store / name).write_bytes(name.encode())
    known = [{"name": n, "sha256": "0" * 64, "size": 9} for n in ("new-1.mar", "old-1.mar")]
    (sweep_job.store / "manifest.json").write_text(json.dumps(known))
    (sweep_job.store / "notes.txt").write_text("of a person")
    (sweep_job.store / "folder.mar").mkdir()
    (sweep_job.store / "link.mar").symlink_to(sweep_job.store / "new-1.mar")
    (tmp_path / "keep.json").write_text('["new-1.mar"]')
    return sweep_job


def test_it_only_names_until_it_is_told_to_remove(sweep: Sweep) -> None:
    before = sweep.holds()
    assert sweep.unneeded_archives() == {"by-hand.mar": 11, "old-1.mar": 9}
    assert sweep.holds() == before
    assert sweep.manifest() == {"new-1.mar", "old-1.mar"}


def test_it_removes_archives_and_nothing_else(sweep: Sweep) -> None:
    sweep.unneeded_archives("--remove")
    expected = {"new-1.mar", "manifest.json", "notes.txt", "folder.mar", "link.mar"}
    assert sweep.holds() == expected
    assert sweep.manifest() == {"new-1.mar"}
    assert sweep.unneeded_archives("--remove") == {}


def test_what_the_last_sync_was_asked_for_stays(sweep: Sweep) -> None:
    config = sweep.folder / "data" / "config" / "config.properties"
    config.parent.mkdir()
    config.write_text('model_snapshot={"models":{"old":{"1":{"marName":"old-1.mar"}}}}\n')
    assert sweep.unneeded_archives("--remove") == {"by-hand.mar": 11}
    assert "old-1.mar" in sweep.holds()


def test_killed_in_the_middle_the_manifest_lists_nothing_that_is_gone(sweep: Sweep) -> None:
    assert sweep.run("--remove", how=("-c", KILLED))[0] == 9
    assert sweep.manifest() == {"new-1.mar"}
    assert sweep.unneeded_archives("--remove") == {"by-hand.mar": 11, "old-1.mar": 9}
    assert not sweep.holds() & {"by-hand.mar", "old-1.mar"}


def test_it_waits_for_a_sync_that_holds_the_store(sweep: Sweep) -> None:
    with (sweep.store / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = sweep.start("--remove")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
        assert "old-1.mar" in sweep.holds()
        # What the sync does last, still holding the store: the archive is needed again.
        config = sweep.folder / "data" / "config" / "config.properties"
        config.parent.mkdir()
        config.write_text('{"marName":"old-1.mar"}')
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 0, out
    assert "old-1.mar" in sweep.holds()
    assert "by-hand.mar" not in sweep.holds()


@pytest.mark.parametrize(
    "keep",
    ["", "[", "3", '"new-1.mar"', "[1]"],
    ids=["empty", "cut off", "a number", "one name", "no names"],
)
def test_without_a_list_of_what_to_keep_it_removes_nothing(sweep: Sweep, keep: str) -> None:
    (sweep.folder / "keep.json").write_text(keep)
    before = sweep.holds()
    code, out = sweep.run("--remove")
    assert code == 1
    assert "is not a list of names" in out
    assert sweep.holds() == before


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    (tmp_path / "model_sync").symlink_to(MODULES / "model_sync")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import model_sync.gc"
    argv = [sys.executable, "-I", "-S", "-c", program]
    ended = subprocess.run(argv, timeout=60, env={"PATH": os.environ["PATH"]}, check=False)
    assert ended.returncode == 0
