"""The ownership Job's program, on a folder as the old guide's `sudo` left it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.archives.sync_job import MODULES

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")

# Ends as if it had been killed: between the owner and the mode of the second thing that it changes.
KILLED = """
import os, runpy, sys
fchmod, calls = os.fchmod, []
def killed(file, mode):
    calls.append(mode)
    if len(calls) == 2:
        os._exit(9)
    fchmod(file, mode)
os.fchmod = killed
sys.argv[0] = "model_sync.own"
runpy.run_module("model_sync.own", run_name="__main__")
"""


@dataclass
class Old:
    """The old guide's folders."""

    data: Path

    def run(
        self, *options: str, how: tuple[str, ...] = ("-m", "model_sync.own")
    ) -> tuple[int, str]:
        argv = [sys.executable, *how, f"--data={self.data}", *options]
        result = subprocess.run(
            argv, cwd=MODULES, capture_output=True, text=True, timeout=60, env={}, check=False
        )
        return result.returncode, result.stdout + result.stderr

    def answer(self, *options: str) -> dict[str, object]:
        code, out = self.run(*options)
        assert code == 0, out
        answer: dict[str, object] = json.loads(out)
        return answer

    def states(self) -> dict[str, tuple[int, int, int]]:
        """Owner, group and mode by path below the folder."""
        paths = [self.data, *sorted(self.data.rglob("*"))]
        stats = {str(path.relative_to(self.data)): path.lstat() for path in paths}
        return {name: (s.st_uid, s.st_gid, s.st_mode & 0o7777) for name, s in stats.items()}


@pytest.fixture
def old(tmp_path: Path) -> Old:
    data = tmp_path / "data"
    for path, mode in (
        ("model_store/squeezenet1_1.mar", 0o600),
        ("model_store/faces.mar", 0o4755),
        ("model_store/unpacked/model.pt", 0o600),
        ("config/config.properties", 0o640),
        ("backup/squeezenet1_1.mar", 0o600),
    ):
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_text(path)
        (data / path).chmod(mode)
    for folder in ("model_store", "config", "backup", "model_store/unpacked"):
        (data / folder).chmod(0o700)
    (tmp_path / "elsewhere").write_text("not of this store")
    (tmp_path / "elsewhere").chmod(0o600)
    (data / "model_store" / "link.mar").symlink_to(tmp_path / "elsewhere")
    return Old(data)


LEFT = ["backup", "model_store/link.mar", "model_store/unpacked"]


def test_it_only_names_until_it_is_told_to_change(old: Old) -> None:
    before = old.states()
    answer = old.answer()
    assert old.states() == before
    assert answer["applied"] is False
    assert answer["left"] == [str(old.data / name) for name in LEFT]
    changed = {each["path"]: each["after"] for each in answer["changed"]}  # type: ignore[attr-defined]
    assert changed[str(old.data / "model_store")] == "1000:1000 0755"
    assert changed[str(old.data / "model_store" / "squeezenet1_1.mar")] == "1000:1000 0644"


@as_root
def test_the_servers_can_read_and_the_sync_job_can_write(old: Old) -> None:
    elsewhere = old.data.parent / "elsewhere"
    content = {path: path.read_bytes() for path in old.data.rglob("*.mar")}
    untouched = {
        name: state for name, state in old.states().items() if name.startswith(tuple(LEFT))
    }
    old.answer("--apply")
    after = old.states()
    for folder in (".", "model_store", "config"):
        assert after[folder] == (1000, 1000, 0o755)
    for file in (
        "model_store/squeezenet1_1.mar",
        "model_store/faces.mar",
        "config/config.properties",
    ):
        assert after[file] == (1000, 1000, 0o644)
    assert {name: after[name] for name in untouched} == untouched, (
        "what is not ours stays as it was"
    )
    assert (elsewhere.stat().st_uid, elsewhere.stat().st_mode & 0o777) == (0, 0o600)
    assert {path: path.read_bytes() for path in old.data.rglob("*.mar")} == content
    assert old.answer("--apply")["changed"] == []


@as_root
def test_killed_in_the_middle_it_goes_on(old: Old) -> None:
    assert old.run("--apply", how=("-c", KILLED))[0] == 9
    assert old.answer()["changed"], "something is left to do"
    old.answer("--apply")
    assert old.answer()["changed"] == []


@as_root
def test_whom_the_access_points_make_of_everybody_can_do_their_work(old: Old) -> None:
    old.answer("--apply")
    # Names without folders: the way to this test's own folder is closed to both.
    for uid, argv in ((1000, ["touch", ".lock"]), (1001, ["cat", "squeezenet1_1.mar"])):
        subprocess.run(
            argv, cwd=old.data / "model_store", user=uid, group=uid, extra_groups=[],
            check=True, timeout=60, capture_output=True,
        )  # fmt: skip
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(
            ["touch", ".lock"], cwd=old.data / "model_store", user=1001, group=1001,
            extra_groups=[], check=True, timeout=60, capture_output=True,
        )  # fmt: skip


@pytest.mark.parametrize("layout", ["nothing", "a file", "a link"])
def test_another_layout_is_refused(tmp_path: Path, layout: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    if layout == "a file":
        (data / "model_store").write_text("")
    elif layout == "a link":
        (data / "model_store").symlink_to(tmp_path)
    code, out = Old(data).run("--apply")
    assert code == 1
    assert "this is not the old guide's layout" in out
