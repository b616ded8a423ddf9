"""Runs the suite with pytest, in this process, and makes the report of what came out.

The checkout's own pytest settings, plugins and conftest files are not used.
"""

import datetime
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.core.errors import HarnessError, InputError
from harness.smoke import report
from harness.smoke.plugin import Plugin
from harness.smoke.report import Report, Result
from harness.smoke.target import EMBEDDED, Target

SUITE = Path(__file__).parent / "suite"
FILES = ("cluster", "gpu", "store", "serving", "network")
"""From the bottom up: the first failure on the screen is the likeliest cause of the others."""

_ALONE = (
    *("-c", os.devnull, "--rootdir", str(SUITE), "--noconftest", "--disable-plugin-autoload"),
    *("-p", "no:cacheprovider", "-p", "no:terminal", "--capture=no"),
    *("--assert=plain", "--import-mode=importlib"),
)
_RUN = (
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,  # none applies: the verdict shows it
)


def run(target: Target, files: Sequence[str] = FILES) -> Report:
    """Run every check that applies, of all files of the suite by default.

    Raises:
        HarnessError: the suite itself could not be run.
    """
    if not __debug__:
        raise HarnessError("python -O takes the checks' assertions away", hint="run without -O")
    clock, plugin = Clock(), Plugin(target)
    paths = [str(SUITE / f"test_{name}.py") for name in files]
    ended = pytest.main([*_ALONE, *paths], plugins=[plugin])
    if ended == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if ended not in _RUN or plugin.broken:
        raise HarnessError(f"the suite could not be run: {plugin.broken or repr(ended)}")
    return Report(
        environment=target.env,
        started=clock.started,
        seconds=clock.seconds,
        verdict=report.verdict(plugin.results),
        target=target.name,
        embedded=target.embedded,
        simulated=target.simulated,
        release=target.release,
        tests=plugin.results,
    )


def nothing_to_check(env: str, target: str, error: HarnessError, clock: "Clock") -> Report:
    """The report where no target was found; an embedded server that cannot serve has failed."""
    name, embedded = "there is something to check", target == EMBEDDED
    result = Result(name=name, outcome="failed", seconds=0, why=error.message, next=error.hint)
    return Report(
        environment=env,
        started=clock.started,
        seconds=clock.seconds,
        verdict="fail" if embedded and isinstance(error, InputError) else "invalid",
        target=target,
        embedded=embedded,
        release=None,
        tests=[result],
    )


class Clock:
    """When something began, and how long ago."""

    def __init__(self) -> None:
        self.started = datetime.datetime.now(datetime.UTC).isoformat("T", "seconds")
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._began, 1)
