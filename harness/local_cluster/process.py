"""Processes that are surely ours: a pid alone may belong to a stranger by the time it is killed."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG = 1
_KILLED = 10.0  # seconds that the kernel may take to end what was killed
_POLL = 0.02
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Process:
    """A process by its pid and by when it started, in clock ticks since boot."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Return whether this very process runs; a zombie does not."""
        return _start_time(self.pid) == self.started

    def signal(self, number: int) -> None:
        """Send a signal, unless the process is gone."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self, seconds: float) -> None:
        """Ask it to end, and kill it after ``seconds``; return when it is gone."""
        self.signal(signal.SIGTERM)
        if not self._wait_until_gone(seconds):
            self.signal(signal.SIGKILL)
            self._wait_until_gone(_KILLED)

    def _wait_until_gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive and time.monotonic() < deadline:
            time.sleep(_POLL)
        return not self.alive


def of(pid: int) -> Process:
    """The process that has this pid now."""
    return Process(pid, _start_time(pid) or 0)


def spawn(
    argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a child that the kernel kills when the calling thread ends, however it ends.

    Both of its streams are appended to ``log``.
    """
    parent = os.getpid()
    with log.open("ab") as out:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            process_group=0,  # Ctrl-C in the terminal is not for it
            preexec_fn=lambda: die_with(parent),  # noqa: PLW1509  the supervisor has one thread
        )


def die_with(parent: int) -> None:
    """Have the kernel kill this process, also after exec, with the thread that forked it.

    Args:
        parent: the pid of that thread's process.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)


def kill_all(*words: str) -> None:
    """Kill every process that has all of these among its words; return when none is left."""
    deadline = time.monotonic() + _KILLED
    while time.monotonic() < deadline:
        if not (matches := [each for each in psutil.process_iter() if _has(each, words)]):
            return
        for each in matches:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(matches, _KILLED)


def _has(process: psutil.Process, words: Sequence[str]) -> bool:
    try:
        is_zombie = process.status() == psutil.STATUS_ZOMBIE
        return not is_zombie and set(words) <= set(process.cmdline())
    except psutil.Error:
        return False


def _start_time(pid: int) -> int | None:
    """When the process with this pid started; None if there is none, or only a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        threads = len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208  names are enough
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()  # the name before it may hold anything
    # The first thread is a zombie while others still end, and hold ports and files until then.
    return None if state in "ZX" and threads <= 1 else int(rest[18])
