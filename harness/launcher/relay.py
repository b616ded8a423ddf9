"""Text on its way to a file descriptor that may block: what cannot be written is dropped.

A container's output goes through a pipe to its runtime. When nobody reads it (a full disk, a log
driver that blocks, Ctrl-S in a terminal), a write blocks its thread, and with it all that the
thread is there for. So one thread writes, and nobody waits for it.
"""

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable

_ROOM = 4 << 20  # characters; minutes of a busy log, and little next to a JVM


class Relay:
    """Writes to ``descriptor`` in a thread of its own, whole texts in the order of ``put``."""

    def __init__(self, descriptor: int, gap: Callable[[int], str], capacity: int = _ROOM) -> None:
        """``gap`` is what to write in place of so many dropped texts, ``capacity`` how many
        characters may wait.
        """
        self.dropped, self._gap = 0, gap  # texts, so far
        self._descriptor, self._capacity = descriptor, capacity
        self._waiting: deque[str] = deque()
        self._size = 0  # of what waits, and of what is being written
        self._reported = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._write, daemon=True, name="relay").start()

    def put(self, text: str) -> None:
        """Hand over a text; it is dropped, and counted, if there is no room for it."""
        with self._changed:
            if self._size + len(text) > self._capacity:
                self.dropped += 1
                return
            if self.dropped > self._reported:
                self._append(self._gap(self.dropped - self._reported))
                self._reported = self.dropped
            self._append(text)
            self._changed.notify_all()

    def flush(self, seconds: float) -> None:
        """Wait until all is written, at most ``seconds``."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._size and (remaining := deadline - time.monotonic()) > 0:
                self._changed.wait(remaining)

    def _append(self, text: str) -> None:
        self._waiting.append(text)
        self._size += len(text)

    def _write(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                text = "".join(self._waiting)
                self._waiting.clear()
            data = text.encode(errors="replace")
            with contextlib.suppress(OSError):  # nobody is there to read: no reason to stop
                while data:
                    data = data[os.write(self._descriptor, data) :]
            with self._changed:
                self._size -= len(text)
                self._changed.notify_all()
