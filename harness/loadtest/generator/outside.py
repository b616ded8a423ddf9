"""Costly checks, handed to a process of their own: an answer waits for it, sending goes on.

What waits is bounded. Beyond the bound, and when the schedule has been over for a while, an answer
is not checked: it counts as correct by its status, and the report says how many those are.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

import gevent  # type: ignore[import-untyped]
from gevent import subprocess
from gevent.lock import RLock  # type: ignore[import-untyped]

from harness.models.answer import Expected

_MAX_BYTES = 64 << 20  # of answers that wait for their check
_MODULE = "harness.loadtest.check_process"


class Unchecked(Exception):  # noqa: N818 - an outcome, not an error of ours
    """The answer was not checked: too many wait already, or the run is over."""


class Outside:
    """The process; it is started by the first answer that needs it, and ends with its pipes."""

    def __init__(self, expected: Sequence[Expected]) -> None:
        self._expected = expected
        self._process: Any = None
        self._turn = RLock()
        self._bytes = 0
        self.waiting = 0
        self.closed = False

    def wrong(self, index: int, body: bytes) -> str | None:
        """What is wrong with an answer to request ``index``; other greenlets go on meanwhile.

        Raises:
            Unchecked: nobody can say.
        """
        if self.closed or self._bytes + len(body) > _MAX_BYTES:
            raise Unchecked
        self.waiting += 1
        self._bytes += len(body)
        try:
            with self._turn:
                return self._ask(index, body)
        except OSError as error:
            raise Unchecked from error
        finally:
            self.waiting -= 1
            self._bytes -= len(body)

    def drain(self, seconds: float) -> None:
        """Wait for what is being checked, so long at most; what still waits then is unchecked."""
        with gevent.Timeout(seconds, exception=False):
            while self.waiting:
                gevent.sleep(0.02)
        self.closed = True
        if self._process:
            self._process.kill()
        while self.waiting:
            gevent.sleep(0.02)

    def _ask(self, index: int, body: bytes) -> str | None:
        if self.closed:
            raise Unchecked
        process = self._process or self._start()
        process.stdin.write(f"{index} {len(body)}\n".encode())
        process.stdin.write(body)
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise Unchecked
        reason: str | None = json.loads(line)
        return reason

    def _start(self) -> Any:
        self._process = subprocess.Popen(
            [sys.executable, "-m", _MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        texts = [expected.model_dump_json() for expected in self._expected]
        self._process.stdin.write(json.dumps(texts).encode() + b"\n")
        return self._process
