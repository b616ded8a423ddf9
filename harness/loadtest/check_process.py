"""Checks answers in a process of its own, for a generator that would send late otherwise.

    python -m harness.loadtest.check_process < frames > reasons

Standard input begins with a line of JSON, a list of ``Expected``; then each answer is a line
``INDEX LENGTH`` and so many bytes. Each gets a line of JSON: what is wrong with it, or null.
"""

import contextlib
import json
import os
import sys
from typing import IO

from harness.core.errors import HarnessError
from harness.models import answer
from harness.models.answer import Expected

_NICE = 5  # behind the processes that send


def main(frames: IO[bytes], reasons: IO[bytes]) -> None:
    """Answer until the input ends."""
    expected = _read_expected(frames)
    while header := frames.readline():
        index, length = map(int, header.split())
        try:
            reason = answer.wrong(expected[index], frames.read(length))
        except HarnessError as error:
            reason = str(error)
        reasons.write(json.dumps(reason).encode() + b"\n")
        reasons.flush()


def _read_expected(frames: IO[bytes]) -> list[Expected]:
    texts = json.loads(frames.readline())
    return [Expected.model_validate_json(text) for text in texts]


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    main(sys.stdin.buffer, sys.stdout.buffer)
