"""What tests of real processes share: waiting, free ports, the processes of a work folder."""

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")
PATIENCE = 180.0  # seconds: a worker imports torch, and other tests may keep both cores busy


def eventually(condition: Callable[[], T], patience: float = PATIENCE) -> T:
    """Return the first true value of ``condition``; fail after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, f"timed out after {patience:g} s"
        time.sleep(0.02)
    return value


def free_ports(count: int) -> list[int]:
    """Return ports on which nothing listens, no two the same."""
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [server.getsockname()[1] for server in servers]


def processes(work: Path) -> list[psutil.Process]:
    """Return all processes that name a launcher's work folder; workers name the socket in it."""
    matches = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if str(work) in line and process.status() != psutil.STATUS_ZOMBIE:
                matches.append(process)
    return matches
