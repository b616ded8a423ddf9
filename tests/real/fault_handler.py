"""The cheap model with faults: a request that names one has it happen.

TorchServe imports this file in its worker; it has nothing of this repository to import.
"""

import hashlib
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

_ASSERT = "CUDA error: device-side assert triggered"  # as PyTorch says it; there is no GPU here
_PIECE = 64 << 20  # bytes that are eaten at once
_SECONDS = 0.005  # of a batch's work
# Files that the next process finds, and that the launcher removes when the container starts.
_BROKEN, _UNLOADABLE = (Path(tempfile.gettempdir(), name) for name in ("broken", "unloadable"))
_asserted: "list[str]" = []  # this process has lost its GPU


def handle(rows: "list[dict[str, bytes]] | None", context: Any) -> "list[str]":
    """TorchServe's entry point; without data it is the call to load the model."""
    if rows is None:
        time.sleep(float(os.environ.get("LOAD_SECONDS", "0")))
        if _UNLOADABLE.exists():
            raise RuntimeError("the weights have the wrong shape")
        return []
    time.sleep(_SECONDS)
    bodies = [bytes(row.get("body") or row["data"]) for row in rows]
    for body in bodies:
        _FAULTS.get(body, _serve)()
    if _asserted or _BROKEN.exists():
        raise RuntimeError(_ASSERT)
    return [hashlib.sha256(body).hexdigest() for body in bodies]


def _serve() -> None:
    pass


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _eat() -> None:
    eaten = []
    while True:
        eaten.append(b"\1" * _PIECE)


def _never_load_again() -> None:
    _UNLOADABLE.touch()
    _die()


_FAULTS = {
    b"die": _die,
    b"eat memory": _eat,
    b"assert": lambda: _asserted.append(_ASSERT),
    b"assert for good": _BROKEN.touch,
    b"never load again": _never_load_again,
}
