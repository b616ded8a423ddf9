"""The one place that starts processes that end by themselves: no shell, always a timeout."""

import collections
import contextlib
import os
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.core.errors import HarnessError

_TAIL = 4_000  # characters of each stream that an error keeps: enough for any traceback
_LINES = 20  # of a long output that an error keeps


@dataclass(frozen=True, slots=True)
class Completed:
    """How a process ended: its exit code and everything it printed."""

    returncode: int
    stdout: str
    stderr: str


class CommandError(HarnessError):
    """A command could not be started, failed, or ran out of time."""


class ExitError(CommandError):
    """A command ended as it should not: what it was given may be at fault, and not the machine."""


_BUSY = "run it again, when less runs on this machine"


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    cpu: int | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    accept: Sequence[int] = (0,),
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run ``argv`` to its end.

    Args:
        argv: the program and its arguments; no shell sees them.
        timeout: seconds until the process is killed.
        cpu: seconds of CPU after which it is killed: on a busy machine as much work as on a quiet
            one. Only Linux counts them for another process.
        cwd: working folder.
        env: variables added to this process's own.
        stdin: text for standard input; none means an empty one.
        accept: exit codes that are not an error.
        pass_fds: open files that the process gets too, under the same numbers.

    Raises:
        CommandError: it could not be started, or was killed when ``timeout`` was over.
        ExitError: it ended with another exit code, or had used too much CPU.
    """
    words = [str(word) for word in argv]
    shown = shlex.join(words)
    try:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            pass_fds=pass_fds,
        )
    except FileNotFoundError as error:
        raise CommandError(f"{words[0]} is not installed ({shown})") from error
    with process:
        _limit(process.pid, cpu)
        try:
            stdout, stderr = process.communicate(stdin if stdin is not None else "", timeout)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise CommandError(f"killed after {timeout:g} s: {shown}", hint=_BUSY) from error
        except BaseException:
            process.kill()
            raise
    if cpu and process.returncode == -signal.SIGKILL:
        raise ExitError(f"killed after {cpu} s of CPU: {shown}")
    if process.returncode not in accept:
        message = (stderr or stdout).strip()[-_TAIL:]
        raise ExitError(f"exit code {process.returncode}: {shown}\n{message}")
    return Completed(process.returncode, stdout, stderr)


def _limit(process: int, cpu: int | None) -> None:
    """Let the kernel kill a process that has used so many seconds of CPU."""
    if cpu is not None and sys.platform == "linux":
        with contextlib.suppress(ProcessLookupError):  # it has ended
            resource.prlimit(process, resource.RLIMIT_CPU, (cpu, cpu))


@contextlib.contextmanager
def reading(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
) -> Iterator[IO[bytes]]:
    """Run ``argv`` and read what it prints as bytes while it runs, however much that is.

    Args:
        argv: the program and its arguments; no shell sees them.
        timeout: seconds until the process is killed.
        cwd: working folder.
        env: variables added to this process's own.
        stdin: bytes for standard input.

    Raises:
        CommandError: it could not be started, was killed, or ended with another code than 0.
    """
    words = [str(word) for word in argv]
    shown = shlex.join(words)
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as errors:
        source.write(stdin)
        source.seek(0)
        try:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except FileNotFoundError as error:
            raise CommandError(f"{words[0]} is not installed ({shown})") from error
        with _killed_after(timeout, process) as timed_out:
            try:
                with process:
                    assert process.stdout is not None  # noqa: S101  a pipe was asked for
                    yield process.stdout
            except BaseException:
                process.kill()
                raise
        if timed_out.is_set():
            raise CommandError(f"killed after {timeout:g} s: {shown}", hint=_BUSY)
        if process.returncode:
            errors.seek(0)
            message = errors.read().decode(errors="replace").strip()[-_TAIL:]
            raise CommandError(f"exit code {process.returncode}: {shown}\n{message}")


def stream(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    on_line: Callable[[str], None],
    cwd: Path | None = None,
    stdin: str = "",
) -> None:
    """Run ``argv`` to its end, for minutes if need be, and hand on each line that it prints.

    Args:
        argv: the program and its arguments; no shell sees them.
        timeout: seconds until the process is killed.
        on_line: gets the lines of both streams as they come.
        cwd: working folder.
        stdin: text for standard input, less than a pipe holds (64 KiB).

    Raises:
        CommandError: it could not be started, was killed, or ended with another code than 0.
    """
    words = [str(word) for word in argv]
    shown = shlex.join(words)
    try:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise CommandError(f"{words[0]} is not installed ({shown})") from error
    tail: collections.deque[str] = collections.deque(maxlen=_LINES)
    with _killed_after(timeout, process) as timed_out, process:
        try:
            _feed(process, stdin)
            for line in process.stdout or ():
                tail.append(line)
                on_line(line.rstrip())
        except BaseException:
            process.terminate()
            raise
    if timed_out.is_set():
        raise CommandError(f"killed after {timeout:g} s: {shown}\n{''.join(tail).strip()}")
    if process.returncode:
        raise CommandError(f"exit code {process.returncode}: {shown}\n{''.join(tail).strip()}")


@contextlib.contextmanager
def _killed_after(
    timeout: float, process: "subprocess.Popen[bytes] | subprocess.Popen[str]"
) -> Iterator[threading.Event]:
    """Kill a process that runs for more than ``timeout`` seconds; the event tells that it did."""
    timed_out = threading.Event()

    def kill() -> None:
        if process.poll() is None:  # else it ended in time, and what it printed is read slowly
            timed_out.set()
            process.kill()

    timer = threading.Timer(timeout, kill)
    timer.start()
    try:
        yield timed_out
    finally:
        timer.cancel()


def _feed(process: subprocess.Popen[str], text: str) -> None:
    if process.stdin:
        with contextlib.suppress(BrokenPipeError):  # it ended, or wants no input
            process.stdin.write(text)
            process.stdin.close()
