"""The lock of a model store: Jobs of several groups take turns, and each says whose turn it is."""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from . import SyncError, alarm, log

_PERIOD = 30.0  # seconds between two lines that say who has the lock


@contextlib.contextmanager
def held(path: Path, holder: str, seconds: float) -> Iterator[None]:
    """Hold the lock while the block runs.

    NFS keeps it on the server, and frees it when the client is gone.

    Args:
        path: the lock's file; its text is the name of its last holder.
        holder: who we are, for those who wait for us.
        seconds: how long to wait at most.

    Raises:
        SyncError: another Job had it all that time.
        OSError: the file cannot be written.
    """
    # To append: the holder's name is in it, and stays until the lock is ours.
    with path.open("a") as lock:
        _acquire(lock, path, seconds)
        lock.truncate(0)
        lock.write(f"{holder}\n")
        lock.flush()
        yield


def _acquire(lock: IO[str], path: Path, seconds: float) -> None:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    start = time.monotonic()

    def report() -> None:
        waited = time.monotonic() - start
        holder = path.read_text().strip() or "another Job"
        if waited >= seconds:
            raise SyncError(f"waited {waited:.0f} s for the model store, and {holder} still has it")
        log(f"waiting for the model store for {waited:.0f} s: {holder} has it")

    report()
    with alarm.every(min(_PERIOD, seconds), report):
        fcntl.flock(lock, fcntl.LOCK_EX)
