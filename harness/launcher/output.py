"""What leaves the pod: TorchServe's events, what models print, and the launcher's own messages, one
JSON object a line (docs/logging.md has its keys).

The file `log-level` next to config.properties says from which level on. It is read again each
second: in a pod it is an annotation.
"""

import re
import sys
import time
from pathlib import Path

from .event import Event, as_json, own
from .relay import Relay

_LEVELS = {"TRACE": 0, "DEBUG": 0, "WARN": 2, "WARNING": 2, "ERROR": 3, "FATAL": 3}  # others: 1
_LONGEST = 1.0  # seconds for the rest of a traceback; it comes within milliseconds
_TRACEBACK = "Traceback (most recent call last):"
# Lines of a traceback but the one that names the exception.
_FRAME = re.compile(r"\s|$|Traceback \(most|During handling of the above|The above exception was")


class Output:
    """``log`` may be called by any thread, ``put`` by one."""

    def __init__(self, folder: Path) -> None:
        """``folder`` has the file with the level."""
        self._level_file = folder / "log-level"
        # Those that may go on, and since when, by thread.
        self._tracebacks: dict[str, tuple[float, Event]] = {}
        self.stdout, self.stderr = (Relay(f.fileno(), _gap) for f in (sys.stdout, sys.stderr))
        self.read_level()

    def read_level(self) -> None:
        """Take what the file says now; without a level in it, INFO."""
        word = self._level_file.read_text() if self._level_file.exists() else ""
        self._level = _LEVELS.get(word.strip().upper(), 1)

    def log(self, text: str, level: str = "INFO") -> None:
        """A message of the launcher, on stderr; it waits for nobody."""
        self._write(own("launcher", text, level), self.stderr)

    def put(self, event: Event) -> None:
        """What TorchServe has logged: a line, or one of a traceback."""
        message, (_, record) = event["message"], self._tracebacks.get(event["thread"], (0, None))
        if record and _goes_on(record["traceback"], message):
            record["traceback"] += f"\n{message}"
            record["message"] = record["message"] if _FRAME.match(message) else message
            return
        self._release(event["thread"])
        if event["stream"] and message == _TRACEBACK:
            event |= {"level": "ERROR", "traceback": message}
            self._tracebacks[event["thread"]] = time.monotonic(), event
        else:
            self._write(event, self.stdout)

    def flush(self, seconds: float) -> None:
        """Write all that there is, for at most ``seconds``."""
        self._release(*self._tracebacks)
        for relay in (self.stdout, self.stderr):
            relay.flush(seconds)

    def _release(self, *threads: str) -> None:
        """Write what is open of these, and of others for too long."""
        for thread, (since, record) in list(self._tracebacks.items()):
            if thread in threads or time.monotonic() - since > _LONGEST:
                self._write(record, self.stdout)
                self._tracebacks.pop(thread, None)

    def _write(self, event: Event, relay: Relay) -> None:
        if _LEVELS.get(event["level"], 1) >= self._level:
            relay.put(as_json(event))


def _gap(count: int) -> str:
    return as_json(own("launcher", f"{count} lines dropped: nobody read them", "WARN"))


def _goes_on(traceback: str, line: str) -> bool:
    last = traceback.rpartition("\n")[2]
    return bool(_FRAME.match(line) or (last and _FRAME.match(last)))
