"""The generators as one: starts locust in processes of its own and yields what they print.

locust and gevent change the process they are imported into, so they are never imported here.
"""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from harness.core import files
from harness.core.errors import HarnessError, UsageError
from harness.launcher.leash import leash
from harness.loadtest import generator
from harness.loadtest.plan import Plan
from harness.loadtest.window import Window, unpack

_LOCUSTFILE = Path(generator.__file__).with_name("locustfile.py")
_SELECT_LIMIT = 900  # below select's 1,024 descriptors, with room for locust's own
_START = 60  # s for the processes to start: importing locust takes two on a busy machine
_START_REMOTE = 3600  # s for somebody to start the generators on the other machines
_GRACE = 30  # s beyond the schedule and the last timeout before the generators are given up


@dataclass(frozen=True, slots=True)
class Workers:
    """Which processes send.

    Attributes:
        processes: generators on this machine; 0 with remote ones.
        remote: generators that connect from other machines.
        listen: the address and port that remote ones connect to.
    """

    processes: int = 1
    remote: int = 0
    listen: str = "127.0.0.1:5557"

    @property
    def count(self) -> int:
        """How many generators send."""
        return self.remote or self.processes

    def options(self) -> list[str]:
        """The options of locust."""
        if self.remote:
            host, _, port = self.listen.rpartition(":")
            bind = ["--master-bind-host", host, "--master-bind-port", port]
            return ["--master", *bind, "--expect-workers", str(self.remote)]
        if self.processes == 1:
            return []
        host, port = "127.0.0.1", str(_free_port())
        bind = ["--master-bind-host", host, "--master-bind-port", port]
        return [*bind, "--processes", str(self.processes), "--master-port", port]


def workers(processes: int, remote: str | None) -> Workers:
    """Read ``--processes`` and ``--remote N@HOST:PORT``.

    Raises:
        UsageError: one of them is malformed.
    """
    if processes < 1:
        raise UsageError("--processes must be 1 or more")
    if remote is None:
        return Workers(processes=processes)
    number, _, address = remote.partition("@")
    if not number.isdigit() or not int(number) or not address.rpartition(":")[2].isdigit():
        raise UsageError(f"--remote {remote}: not N@HOST:PORT", hint="such as 4@0.0.0.0:5557")
    return Workers(processes=0, remote=int(number), listen=address)


@dataclass(frozen=True, slots=True)
class Started:
    """The generators begin second 0 of the schedule at ``at`` (Unix time)."""

    at: float


def run(plan: Plan, workers: Workers, folder: Path) -> Iterator[Started | Window]:
    """Run the plan to its end, yielding each window as it comes.

    Raises:
        HarnessError: the generators did not start, died, or did not end in time.
    """
    plan_file, log_file = folder / "plan.json", folder / "generator.log"
    files.write(plan_file, plan.model_dump_json())
    argv = [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--headless"]
    argv += ["--users", str(workers.count), "--spawn-rate", "100", "--only-summary"]
    argv += ["--loglevel", "WARNING", *workers.options()]
    environment = _environment(plan, workers, plan_file)
    with log_file.open("wb") as log, _process(argv, environment, log) as out:
        try:
            yield from _messages(_lines(out), plan, workers)
        except queue.Empty:
            raise HarnessError(
                "the load generators stopped answering", at=log_file, hint=_tail(log_file)
            ) from None


def _messages(
    lines: "queue.Queue[bytes]", plan: Plan, workers: Workers
) -> Iterator[Started | Window]:
    seconds = sum(level[0] for level in plan.levels) + plan.timeout + _GRACE
    end = time.time() + (_START if not workers.remote else _START_REMOTE)
    finished = 0
    while finished < workers.count:
        message = json.loads(lines.get(timeout=max(0.1, end - time.time())) or _raise_ended())
        if "done" in message:
            finished += 1
        elif "at" in message:
            end = message["at"] + seconds
            yield Started(message["at"])
        else:
            yield unpack(message)


def _raise_ended() -> NoReturn:
    raise queue.Empty


def _environment(plan: Plan, workers: Workers, plan_file: Path) -> dict[str, str]:
    environment = {**os.environ, "HARNESS_LOADTEST_PLAN": str(plan_file)}
    if plan.max_in_flight // workers.count <= _SELECT_LIMIT:
        # epoll rounds a wait up to whole milliseconds; select sleeps to the microsecond, which
        # makes the median request 0.5 ms less late.
        environment["GEVENT_BACKEND"] = "select"
    return environment


@contextlib.contextmanager
def _process(argv: list[str], environment: dict[str, str], log: IO[bytes]) -> Iterator[IO[bytes]]:
    leader = leash()
    process = subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        process_group=leader.pid,
    )
    assert process.stdout is not None  # noqa: S101 - stdout=PIPE
    try:
        yield process.stdout
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
    finally:
        os.killpg(leader.pid, signal.SIGKILL)
        leader.communicate()
        process.wait()


def _lines(out: IO[bytes]) -> "queue.Queue[bytes]":
    """Read in a thread of its own, so that a full pipe never holds up the generators."""
    lines: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        with out:
            for line in out:
                lines.put(line)
        lines.put(b"")

    threading.Thread(target=read, daemon=True, name="generators").start()
    return lines


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "the log is empty"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
