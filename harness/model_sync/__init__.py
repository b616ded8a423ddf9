"""Fills the model store from S3; runs in the serving image, before any pod rolls.

    python -m model_sync --source s3://BUCKET --files FILE --config FILE --store FOLDER \\
        [--group NAME] [--wait-seconds N] [--deadline-seconds N]

Only the standard library and boto3: the image has nothing of the harness. Under a final name lies
a whole file with the right SHA-256, or none. No decision depends on a clock, and nothing is
deleted but what a killed run left unfinished.
"""

import signal
import sys
from types import FrameType


class SyncError(Exception):
    """The store could not be filled; its former content is unchanged."""


def log(text: str) -> None:
    """Write a line at once: who reads the log of a Job watches it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def end_on_sigterm() -> None:
    """End on SIGTERM as on an error: what is unfinished is swept away, the lock is free.

    The kernel drops a signal that PID 1 of a container has no handler for, so a Job that is deleted
    would go on for its grace period.
    """

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
