"""The supervisor starts in order, starts again what ended, and leaves nothing behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.local_cluster import process, supervisor
from harness.local_cluster.supervisor import Component, Plan, State

_SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
_SECONDS = 60


def _say(path: Path, then: str = "") -> tuple[str, ...]:
    """A program that appends its pid to a file."""
    code = f"import os, time; open({str(path)!r}, 'a').write(f'{{os.getpid()}}\\n'); {then}"
    return (sys.executable, "-c", code)


@contextlib.contextmanager
def _running(folder: Path, *components: Component) -> Iterator[subprocess.Popen[bytes]]:
    (folder / supervisor.PLAN).write_text(Plan(components=components).model_dump_json())
    argv = [sys.executable, "-m", "harness.local_cluster.supervisor", str(folder), "--until-eof"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as running:
        try:
            yield running
        finally:
            running.kill()


def _until(folder: Path, so: Callable[[State], bool]) -> State:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        state = supervisor.read_state(folder)
        if state and so(state):
            return state
        time.sleep(0.02)
    pytest.fail(f"not so: {(folder / supervisor.STATE).read_text()}")


def _has_ended(child: process.Process) -> bool:
    deadline = time.monotonic() + _SECONDS
    while child.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    return not child.alive


def test_starts_a_component_when_what_it_needs_is_ready(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = Component(name="first", argv=_say(out), once=True)
    second = Component(name="second", argv=_say(out, "time.sleep(600)"), after=("first",))
    with _running(tmp_path, second, first):
        # Ready is "started": the second may not have got to its first line yet.
        state = _until(
            tmp_path, lambda state: state.ready and len(out.read_text().splitlines()) == 2
        )
    assert state.components["first"].exit_code == 0
    assert out.read_text().splitlines()[1] == str(state.components["second"].pid)


def test_starts_again_what_ends_by_itself(tmp_path: Path) -> None:
    with _running(tmp_path, Component(name="one", argv=_SLEEP)):
        before = _until(tmp_path, lambda state: state.ready).components["one"]
        before.process.signal(signal.SIGKILL)
        after = _until(tmp_path, lambda state: state.components["one"].pid not in (0, before.pid))
    assert after.components["one"].restarts == 1
    assert after.components["one"].exit_code == -signal.SIGKILL


def test_keeps_a_held_component_down(tmp_path: Path) -> None:
    with _running(tmp_path, Component(name="one", argv=_SLEEP)):
        before = _until(tmp_path, lambda state: state.ready).components["one"]
        (tmp_path / "one.hold").touch()
        _until(tmp_path, lambda state: state.components["one"].phase == "held")
        assert _has_ended(before.process)
        (tmp_path / "one.hold").unlink()
        _until(tmp_path, lambda state: state.ready)


def test_takes_everything_with_it_when_it_is_killed(tmp_path: Path) -> None:
    with _running(tmp_path, Component(name="one", argv=_SLEEP)) as running:
        one = _until(tmp_path, lambda state: state.ready).components["one"]
        running.kill()
        assert _has_ended(one.process)


def test_stops_when_its_starter_is_gone(tmp_path: Path) -> None:
    with _running(tmp_path, Component(name="one", argv=_SLEEP)) as running:
        one = _until(tmp_path, lambda state: state.ready).components["one"]
        assert running.stdin
        running.stdin.close()
        assert running.wait(_SECONDS) == 0
    assert _has_ended(one.process)


def test_says_what_it_runs(tmp_path: Path) -> None:
    with _running(tmp_path, Component(name="one", argv=_SLEEP)) as running:
        _until(tmp_path, lambda state: state.ready)
        state = json.loads((tmp_path / supervisor.STATE).read_text())
    assert state["supervisor"]["pid"] == running.pid
    assert state["components"]["one"]["phase"] == "ready"


def test_one_that_has_not_said_yet_who_it_is_is_stopped_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / supervisor.PLAN)  # it waits for somebody who writes the plan
    argv = [sys.executable, "-m", "harness.local_cluster.supervisor", str(tmp_path)]
    with subprocess.Popen(argv) as young:
        try:
            assert supervisor.read_state(tmp_path) is None
            it = process.of(young.pid)
            supervisor.stop(tmp_path, 1)
            assert not it.alive
        finally:
            young.kill()
