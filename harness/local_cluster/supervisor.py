"""Starts the components of a cluster in order, watches them, and stops them.

    python -m harness.local_cluster.supervisor build/cluster/local

It reads ``plan.json`` of that folder and writes ``state.json`` after every change. A component
starts once those in its ``after`` are ready; one that ends by itself is started again. A file
``<name>.hold`` keeps a component down until it is removed. When the supervisor ends, even by
``kill -9``, the kernel ends every component with it.
"""

import argparse
import json
import os
import select
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path
from types import FrameType

from pydantic import Field

from harness.core import document, files
from harness.local_cluster import process

PLAN, STATE = "plan.json", "state.json"
_TICK = 0.05  # seconds between two rounds
_PROBE_INTERVAL = 0.1  # seconds between two readiness probes
_RESTART = 0.5  # seconds until a component that ended by itself is started again
_MOST = 8.0  # seconds, the longest that this grows to
_STOP = 4.0  # seconds to end after SIGTERM; etcd and the API server take one


class Component(document.Strict):
    """One process.

    Attributes:
        argv: the program and its arguments.
        env: variables added to the supervisor's own.
        after: the components that have to be ready before it starts.
        ready: an address that answers 200 when it is ready; without one, running is ready.
        once: it does its work and ends with 0, and is ready then.
        kill: it is not asked to end: the kernel ends what it runs with it.
    """

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = Field(default_factory=dict)
    after: tuple[str, ...] = ()
    ready: str = ""
    once: bool = False
    kill: bool = False


class Plan(document.Strict):
    """What a supervisor runs."""

    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """How a component is: waiting, starting, ready, held, ended or failed."""

    phase: str = "waiting"
    pid: int = 0
    started: int = 0
    restarts: int = 0
    seconds: float = 0.0
    exit_code: int | None = None

    @property
    def process(self) -> process.Process:
        """Its process, by pid and start."""
        return process.Process(self.pid, self.started)


@dataclass(frozen=True, slots=True)
class State:
    """The last state that the supervisor wrote about itself and its components."""

    supervisor: process.Process
    components: Mapping[str, Status]

    @property
    def ready(self) -> bool:
        """Return whether every component is."""
        return all(each.phase in ("ready", "ended") for each in self.components.values())


def read_state(folder: Path) -> State | None:
    """Return the state in ``folder``, or None if no supervisor has written one."""
    try:
        data = json.loads((folder / STATE).read_text())
    except FileNotFoundError:
        return None
    return State(
        process.Process(**data["supervisor"]),
        {name: Status(**each) for name, each in data["components"].items()},
    )


def stop(folder: Path, seconds: float) -> None:
    """Stop the supervisor of a folder and its components, also one that has only just been started.

    Args:
        folder: with the plan.
        seconds: for it to end by itself.
    """
    if state := read_state(folder):
        state.supervisor.stop(seconds)
        for each in state.components.values():
            if each.pid:
                each.process.stop(0)
    # Until it has written its state, its own words are all that tells which it is.
    process.kill_all("harness.local_cluster.supervisor", str(folder))


class Supervisor:
    """Runs a plan until a signal stops it."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self._units = {each.name: _Unit(each, folder) for each in plan.components}
        self._stopping = False
        self._me = process.of(os.getpid())

    def run(self, *, until_eof: bool) -> None:
        """Return after SIGTERM or SIGINT, or at the end of standard input with ``until_eof``."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        written: object = None
        while not self._stopping:
            for unit in self._units.values():
                unit.advance({name for name, each in self._units.items() if each.is_ready})
            written = self._write_state(written)
            if until_eof and select.select([sys.stdin], [], [], _TICK)[0]:
                break
            if not until_eof:
                time.sleep(_TICK)
        for unit in reversed(self._units.values()):
            unit.stop()
        self._write_state(written)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._stopping = True

    def _write_state(self, before: object) -> object:
        now = {name: asdict(each.status) for name, each in self._units.items()}
        if now != before:
            state = {"supervisor": asdict(self._me), "components": now}
            files.write(self._folder / STATE, json.dumps(state, indent=1))
        return now


class _Unit:
    """One component and its process."""

    def __init__(self, component: Component, folder: Path) -> None:
        self.status = Status()
        self._component = component
        self._log = folder / "logs" / f"{component.name}.log"
        self._hold = folder / f"{component.name}.hold"
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at = self._due = self._last_probe = 0.0
        self._tls = _tls_context(folder / "pki" / "ca.crt") if component.ready else None

    @property
    def is_ready(self) -> bool:
        return self.status.phase == ("ended" if self._component.once else "ready")

    def advance(self, ready: set[str]) -> None:
        """One step: start, ask, notice an end."""
        if self._hold.exists():
            self.stop()
            self._set_phase("held")
        elif self._child is None:
            due = time.monotonic() >= self._due and self.status.phase != "ended"
            if due and ready.issuperset(self._component.after):
                self._start()
        elif (code := self._child.poll()) is not None:
            self._on_exit(code)
        elif self.status.phase == "starting" and self._probe():
            self._set_phase("ready", seconds=round(time.monotonic() - self._started_at, 2))

    def stop(self) -> None:
        """End the process, kindly at first."""
        if self._child is not None:
            if self._component.kill:
                self._child.kill()
            self._child.terminate()
            try:
                self._child.wait(_STOP)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._child = None
            self._set_phase("waiting", pid=0, started=0)

    def _start(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._started_at = time.monotonic()
        self._child = process.spawn(
            self._component.argv, log=self._log, env=self._component.env, cwd=self._log.parent
        )
        born = process.of(self._child.pid)
        self._set_phase("starting", pid=born.pid, started=born.started)

    def _on_exit(self, code: int) -> None:
        self._child = None
        if self._component.once and code == 0:
            took = round(time.monotonic() - self._started_at, 2)
            self._set_phase("ended", pid=0, started=0, exit_code=0, seconds=took)
            return
        lived = time.monotonic() - self._started_at
        restarts = self.status.restarts + 1
        wait = min(_MOST, _RESTART * 2 ** min(restarts, 8)) if lived < _MOST else _RESTART
        self._due = time.monotonic() + wait
        self._set_phase("failed", pid=0, started=0, exit_code=code, restarts=restarts)

    def _probe(self) -> bool:
        if self._component.once:
            return False
        if not self._component.ready:
            return True
        if time.monotonic() - self._last_probe < _PROBE_INTERVAL:
            return False
        self._last_probe = time.monotonic()
        try:
            with urllib.request.urlopen(  # noqa: S310  an address of our own plan
                self._component.ready, timeout=2, context=self._tls
            ) as response:
                return bool(response.status == 200)
        except (OSError, HTTPException):
            return False

    def _set_phase(self, phase: str, **more: object) -> None:
        self.status = Status(**{**asdict(self.status), "phase": phase, **more})


def _tls_context(authority: Path) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=str(authority)) if authority.exists() else None


def main() -> int:
    """Run the plan of a folder."""
    parser = argparse.ArgumentParser(prog="supervisor", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input ends")
    parser.add_argument("--detach", action="store_true", help="go on when the caller has ended")
    args = parser.parse_args()
    if args.detach and os.fork():
        return 0
    plan = Plan.model_validate_json((args.folder / PLAN).read_text())
    Supervisor(args.folder, plan).run(until_eof=args.until_eof)
    return 0


if __name__ == "__main__":
    sys.exit(main())
