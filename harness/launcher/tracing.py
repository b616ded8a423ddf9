"""TorchServe's log on its way to the process that makes spans of it: ``trace_export``, the folder
next to this one. What that does, or does not, the launcher never notices. Which trace a line is of,
the module ``trace_ids`` of the same folder finds out in this process.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired

from .event import Event
from .relay import Relay

WORKER = Path(__file__).resolve().parents[1] / "trace_export" / "worker"
"""What runs in each worker, by its PYTHONPATH."""

_LAST_LINES, _LAST_SPANS = 1.0, 3.0  # seconds for them to be taken


class Tracing:
    """Exports spans to the collector at ``url``, and tells which trace a line is of."""

    def __init__(self, url: str) -> None:
        package = __package__.replace("launcher", "trace_export")
        self._process = Popen([sys.executable, "-m", package, url], stdin=PIPE)
        self._relay = Relay(self._process.stdin.fileno(), "".format)  # type: ignore[union-attr]
        self.ids = import_module(f"{package}.trace_ids").TraceIds()
        path = f"{WORKER}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
        os.environ["PYTHONPATH"] = path  # TorchServe's workers inherit it

    def read(self, line: str, event: Event) -> Iterator[Event]:
        """Take in a line of the log, and give those whose trace is known, or that waited enough."""
        self._relay.put(line)
        yield from self.ids.read(event)

    def close(self) -> None:
        """Have it send what it was given, and end."""
        self._relay.flush(_LAST_LINES)
        with contextlib.suppress(OSError, TimeoutExpired):
            self._process.communicate(timeout=_LAST_SPANS)
