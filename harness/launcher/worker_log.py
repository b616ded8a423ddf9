"""What TorchServe tells only in its log: workers that change their state, and batches in work.

    … DEBUG W-9000-slow_1.0 WorkerThread - W-9000-slow_1.0 State change null -> WORKER_STARTED
    … DEBUG W-9000-slow_1.0 WorkerThread - Flushing req.cmd PREDICT repeats 1 to backend at: …
    … INFO  W-9000-slow_1.0 WorkerThread - Backend response time: 307
    … INFO  W-9000-slow_1.0-stdout MODEL_LOG - a line that the model printed

The lines have the pattern of log4j2.xml. REST and gRPC both pass through here; of TorchServe's
counters only those of REST tell what has been answered.
"""

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import dropwhile, takewhile

_LINE = re.compile(r"\S+ [A-Z]+ +(?:W-(\d+)-(\S+?)(?:-stdout|-stderr)?|\S+) (\S+) - (.*)")
_ERROR = re.compile(r"^\S+ ERROR |Exception|^Invalid configuration")
_OWN_CALL = re.compile(r'/127\S* "GET /(models|metrics)\b')
_CHATTER = ("Flushing req.cmd", "Looping backend", "Backend response time", "Backend received")
_EPILOGUE = "Backend worker process died."  # from here on TorchServe speaks of itself
_LAST_WORDS = 5.0  # seconds for what a worker said to come through; milliseconds as a rule


@dataclass
class Worker:
    """One worker; ``label`` is its model and version, cut by TorchServe."""

    label: str = ""
    loaded: bool = False  # at least once
    failed_at: float | None = None  # the first load; a later crash is a restart
    restarts: int = 0
    batches: int = 0  # handed to it so far
    busy: bool = False
    ended: bool = False  # all that it said has been read
    said: deque[str] = field(default_factory=lambda: deque(maxlen=200))


class WorkerLog:
    """Follows the log; ``workers`` are by TorchServe's id."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """``changed`` is called when a worker changes its state."""
        self.workers: dict[str, Worker] = {}
        self._errors: deque[str] = deque(maxlen=10)
        self._tail: deque[str] = deque(maxlen=10)
        self._changed = changed

    def read(self, line: str) -> bool:
        """Take in one line; False if nobody else needs to see it."""
        if match := _LINE.fullmatch(line):
            number, label, logger, message = match.groups()
            if number:
                self._read(self.workers.setdefault(number, Worker(label)), logger, message)
            if message.startswith(_CHATTER) or _OWN_CALL.match(message):
                return False
        (self._errors if _ERROR.search(line) else self._tail).append(line)
        return True

    def last_words(self) -> str:
        """TorchServe's own errors, or whatever it said last."""
        return "\n".join(self._errors or self._tail)

    def busy(self) -> bool:
        """Whether any worker has a batch."""
        return any(worker.busy for worker in list(self.workers.values()))

    def batches(self) -> int:
        """How many have been handed to workers so far."""
        return sum(worker.batches for worker in list(self.workers.values()))

    def failure(self) -> str | None:
        """Why a worker could not load its model, once all that it said has been read."""
        for worker in list(self.workers.values()):
            since = worker.failed_at
            if since and (worker.ended or time.monotonic() - since > _LAST_WORDS):
                traceback = dropwhile(lambda line: not line.startswith("Traceback"), worker.said)
                said = list(takewhile(lambda line: line != _EPILOGUE, traceback))
                said = said or [*worker.said, "killed, for want of memory?"][-20:]
                return "\n".join([f"{worker.label} cannot be loaded: {said[-1]}", *said])
        return None

    def _read(self, worker: Worker, logger: str, message: str) -> None:
        if logger == "MODEL_LOG":
            worker.said.append(message)
        elif message.startswith("Stopped Scanner") and message.endswith("-stdout"):
            worker.ended = True
            self._changed()
        elif message.startswith("Flushing req.cmd") and " LOAD " not in message:
            worker.busy = True
            worker.batches += 1
        elif message.startswith("Backend response time"):
            worker.busy = False
        elif " State change " in message:
            worker.loaded |= message.endswith("-> WORKER_MODEL_LOADED")
            if message.endswith("-> WORKER_STOPPED"):
                worker.busy = False
                worker.restarts += worker.loaded
                worker.failed_at = None if worker.loaded else time.monotonic()
            self._changed()
