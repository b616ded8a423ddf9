"""TorchServe's log on its way to the process that makes spans of it: ``trace_export``, the folder
next to this one. It is a process of its own: what it does, or does not, the launcher never notices.
"""

import contextlib
import os
import sys
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired

from .relay import Relay

WORKER = Path(__file__).resolve().parents[1] / "trace_export" / "worker"
"""What runs in each worker, by its PYTHONPATH."""

_LAST_LINES, _LAST_SPANS = 1.0, 3.0  # seconds for them to be taken


class Tracing:
    """Exports spans to the collector at ``url``, from lines that are ``put``."""

    def __init__(self, url: str) -> None:
        package = __package__.replace("launcher", "trace_export")
        self._process = Popen([sys.executable, "-m", package, url], stdin=PIPE)
        self._relay = Relay(self._process.stdin.fileno(), "".format)  # type: ignore[union-attr]
        self.put = self._relay.put
        path = f"{WORKER}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
        os.environ["PYTHONPATH"] = path  # TorchServe's workers inherit it

    def close(self) -> None:
        """Have it send what it was given, and end."""
        self._relay.flush(_LAST_LINES)
        with contextlib.suppress(OSError, TimeoutExpired):
            self._process.communicate(timeout=_LAST_SPANS)
