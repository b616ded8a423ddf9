"""The one place that starts short-lived processes: no shell, always a time-out."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import HarnessError

_TAIL = 4_000  # characters of each stream that an error keeps: enough for any traceback


@dataclass(frozen=True, slots=True)
class Completed:
    """How a process ended: its exit code and everything it printed."""

    returncode: int
    stdout: str
    stderr: str


class CommandError(HarnessError):
    """A command could not be started, failed, or ran out of time."""


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float,
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
        cwd: working folder.
        env: variables added to this process's own.
        stdin: text for standard input; none means an empty one.
        accept: exit codes that are not an error.
        pass_fds: open files that the process gets too, under the same numbers.

    Raises:
        CommandError: it could not be started, was killed, or ended with another exit code.
    """
    words = [str(word) for word in argv]
    shown = shlex.join(words)
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            pass_fds=pass_fds,
        )
    except FileNotFoundError as error:
        raise CommandError(f"{words[0]} is not installed ({shown})") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"killed after {timeout:g} s: {shown}") from error
    if done.returncode not in accept:
        said = (done.stderr or done.stdout).strip()[-_TAIL:]
        raise CommandError(f"exit code {done.returncode}: {shown}\n{said}")
    return Completed(done.returncode, done.stdout, done.stderr)
