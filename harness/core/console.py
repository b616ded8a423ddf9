"""What a person sees while something runs: progress on stderr, so that stdout stays the answer.

On a terminal a step is one line that is rewritten; in a log it is a line when it starts and
one when it ends. ``note`` prints a line of its own.
"""

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator
from typing import Protocol


class Update(Protocol):
    """Tells how far a step has come, in words."""

    def __call__(self, text: str) -> None: ...


def note(text: str) -> None:
    """Print one line on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def flush() -> None:
    """Write what is left of the answer and of the progress; a stream may be closed (`>&-`)."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()


def discard_unread() -> bool:
    """Return whether a reader has gone (`… | head`); what is still printed to it goes nowhere."""
    poll = select.poll()
    for descriptor in (1, 2):
        poll.register(descriptor, 0)
    gone = [descriptor for descriptor, event in poll.poll(0) if event & select.POLLERR]
    for descriptor in gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    return bool(gone)


@contextlib.contextmanager
def step(title: str) -> Iterator[Update]:
    """Show ``title`` while the block runs, and how many seconds it took when it ends."""
    live = sys.stderr.isatty()
    started = time.monotonic()

    def update(text: str) -> None:
        if live:
            sys.stderr.write(f"\r\033[K· {title}: {text}")
            sys.stderr.flush()

    if live:
        sys.stderr.write(f"\r\033[K· {title}")
        sys.stderr.flush()
    try:
        yield update
    except BaseException:
        sys.stderr.write(f"{chr(13) + chr(27) + '[K' if live else ''}✗ {title}\n")
        raise
    took = time.monotonic() - started
    sys.stderr.write(f"{chr(13) + chr(27) + '[K' if live else ''}✓ {title} ({took:.1f} s)\n")
    sys.stderr.flush()
