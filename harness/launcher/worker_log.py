"""What TorchServe tells only in its log: workers that change their state, and batches in work.

The lines have the pattern of log4j2.xml, ``date level thread logger - message``:

    … DEBUG W-9000-slow_1.0 WorkerThread - W-9000-slow_1.0 State change null -> WORKER_STARTED
    … DEBUG W-9000-slow_1.0 WorkerThread - Flushing req.cmd PREDICT repeats 1 to backend at: …
    … INFO  W-9000-slow_1.0 WorkerThread - Backend response time: 307
    … INFO  W-9000-slow_1.0-stdout MODEL_LOG - a line that the model printed

Both protocols pass through here, REST and gRPC, which TorchServe's counters do not offer: they
count gRPC calls as they arrive, but not as they are answered.
"""

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

_LINE = re.compile(r"\S+ [A-Z]+ +(\S+) (\S+) - (.*)", re.DOTALL)
_WORKER = re.compile(r"W-(\d+)-(\S+?)(-stdout|-stderr)?")
_STATE = re.compile(r"W-(\d+)-(\S+) State change \w+ -> WORKER_(\w+)")
_OWN_CALL = re.compile(r'/127\S* "GET /(models|metrics)\b')
_LAST_WORDS = 5.0  # seconds for what a worker said to come through; milliseconds as a rule
_CHATTER = (
    "Flushing req.cmd",
    "Looping backend response",
    "Backend response time",
    "Successfully flushed req",
    "Backend received inference",
)


@dataclass
class Worker:
    """One worker, by the number that TorchServe also gives as ``id`` in its API."""

    label: str  # model and version, the name cut by TorchServe to 25 characters
    loaded_before: bool = False
    failed_at: float | None = None  # its first load failed; a later crash is a restart
    busy: bool = False
    restarts: int = 0
    said: dict[str, deque[str]] = field(
        default_factory=lambda: {"-stdout": deque(maxlen=200), "-stderr": deque(maxlen=200)}
    )
    ended: bool = False  # all it will say has been read


class WorkerLog:
    """Follows the log, line by line.

    Attributes:
        workers: by TorchServe's id.
        batches: how many have been handed to a worker so far.
        tail: the last lines, for an error's text.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        """``changed`` is called when a worker changes its state."""
        self.workers: dict[str, Worker] = {}
        self.batches = 0
        self.tail: deque[str] = deque(maxlen=25)
        self._changed = changed

    @property
    def busy(self) -> int:
        """Workers that have a batch."""
        return sum(worker.busy for worker in list(self.workers.values()))

    def read(self, line: str) -> bool:
        """Take in one line without its newline; False if nobody else needs to see it."""
        match = _LINE.fullmatch(line)
        if match:
            thread, logger, message = match.groups()
            if logger == "ACCESS_LOG" and _OWN_CALL.match(message):
                return False
            if logger in ("WorkerThread", "AsyncWorkerThread"):
                self._worker_thread(thread, message)
            elif logger in ("MODEL_LOG", "WorkerLifeCycle"):
                self._output(thread, logger, message)
            if message.startswith(_CHATTER):
                return False
        self.tail.append(line)
        return True

    def failure(self) -> str | None:
        """Why a worker could not load its model: its own traceback, once it has been read."""
        for number, worker in list(self.workers.items()):
            if worker.failed_at and (
                worker.ended or time.monotonic() > worker.failed_at + _LAST_WORDS
            ):
                return f"worker {number} of {worker.label} cannot load:\n{_traceback(worker)}"
        return None

    def _worker(self, number: str, label: str) -> Worker:
        return self.workers.setdefault(number, Worker(label))

    def _worker_thread(self, thread: str, message: str) -> None:
        if match := _STATE.fullmatch(message):
            self._state(self._worker(match[1], match[2]), match[3])
            self._changed()
        elif match := _WORKER.fullmatch(thread):
            worker = self._worker(match[1], match[2])
            if message.startswith("Flushing req.cmd") and " LOAD " not in message:
                worker.busy = True
                self.batches += 1
            elif message.startswith("Backend response time"):
                worker.busy = False

    def _state(self, worker: Worker, state: str) -> None:
        if state == "MODEL_LOADED":
            worker.loaded_before = True
        elif state in ("STOPPED", "ERROR"):
            worker.busy = False
            if worker.loaded_before and state == "STOPPED":
                worker.restarts += 1
            elif not worker.loaded_before:
                worker.failed_at = time.monotonic()

    def _output(self, thread: str, logger: str, message: str) -> None:
        match = _WORKER.fullmatch(thread)
        if not match or not match[3]:
            return
        worker = self._worker(match[1], match[2])
        if logger == "MODEL_LOG":
            worker.said[match[3]].append(message)
        elif message.startswith("Stopped Scanner") and match[3] == "-stdout":
            worker.ended = True
            self._changed()


def _traceback(worker: Worker) -> str:
    """From the first traceback on; without one (killed, out of memory) the last lines it said."""
    for lines in map(list, worker.said.values()):
        for index, line in enumerate(lines):
            if line.startswith("Traceback (most recent call last)"):
                return "\n".join(lines[index:])
    last = [*worker.said["-stderr"], *worker.said["-stdout"]][-20:]
    return "\n".join(last) or "it said nothing; was it killed for want of memory?"
