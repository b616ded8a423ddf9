"""What TorchServe tells only in its log: workers that change their state, what they were given and
how they answered.

    … DEBUG W-9000-slow_1.0 WorkerThread - W-9000-slow_1.0 State change null -> WORKER_STARTED
    … DEBUG W-9000-slow_1.0 WorkerThread - Flushing req.cmd PREDICT repeats 1 to backend at: …
    … INFO  W-9000-slow_1.0-stdout MODEL_LOG - Backend received inference at: …
    … INFO  W-9000-slow_1.0 BatchAggregator - Sending response for jobId 8c1d…
    … INFO  W-9000-slow_1.0 ACCESS_LOG - /10.0.0.9:1 "POST /predictions/slow HTTP/1.1" 200 307
    … DEBUG W-9000-slow_1.0 RestJob - Waiting time ns: 102841, Backend time ns: 307228103
    … INFO  W-9000-slow_1.0 WorkerThread - Backend response time: 307
    … INFO  W-9000-slow_1.0 WorkerThread - Retry worker: 9000 in 1 seconds.
    … INFO  W-9000-slow_1.0-stdout MODEL_LOG - a line that the model printed

REST and gRPC both pass through here; of TorchServe's
counters only those of REST tell what has been answered, and none tells how times are distributed.
A request that no worker got, such as one for a full queue, is logged by the thread of its
connection: REST's line names the model in its path, gRPC's does not.
"""

import re
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .device_error import device_error
from .event import Event
from .histogram import BOUNDS, Histogram
from .load_failure import explain

_ERROR = re.compile(r"^ERROR |Exception|^\w+ Invalid configuration")
_OWN_CALL = re.compile(r'/127\S* "GET /(?:models|metrics)\b(?:\?limit=1&mark=(\d+))?')
_TIMES = re.compile(r"Waiting time ns: (\d+), (?:Backend|Inference) time ns: (\d+)")
_PREDICTION = re.compile(r"/(?:predictions|explanations)/([^/?]+)(?:/([^/?]+))?")
_NS = 1e-9  # seconds
_PID = re.compile(r"\[PID\](\d+)")
_FOR_EACH_BATCH = "Flushing req.cmd", "Looping backend", "Backend response time", "Backend received"
_CHATTER = (*_FOR_EACH_BATCH, "Waiting time ns", "Sending response for jobId", "[SPANS]")
# What TorchServe throws when a start takes longer than startupTimeout; its process has 2 minutes.
_LATE = ("Backend worker did not respond in", "Backend worker startup time", "Worker did not load")
_TIMED_OUT = re.compile(f"Exception: ({'|'.join(_LATE)}) ")
_OUTPUT_DELAY = 5.0  # seconds for what a worker said to come through; milliseconds as a rule
_ATTEMPTS, _AT_ONCE = 3, 10.0  # starts, and seconds, until a worker without a word is given up
_RETRY = 10.0  # seconds for TorchServe to say that it tries again; milliseconds as a rule
_GRPC_FAILURES = {"2", "13", "14", "15"}  # UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS


@dataclass
class Worker:
    """One worker; ``label`` is its model and version. Times are of ``time.monotonic``."""

    label: str = ""
    pid: int | None = None
    ready: bool = False
    loaded: bool = False  # at least once
    started_at: float = 0.0
    load_seconds: float = 0.0  # from the start of its process to the loaded model, the last time
    failures: int = 0  # to load
    timed_out: bool = False  # by TorchServe, when it last stopped
    stopped_at: float | None = None  # when it was last ready, if it is not
    retried: bool = False  # TorchServe has said so since it stopped
    failed_at: float | None = None  # the first load; a later crash is a restart
    restarts: int = 0
    timeouts: int = 0  # restarts because an answer took longer than responseTimeout
    batches: int = 0  # handed to it so far
    received: int = 0  # of them, as its output tells; between two of these lines it speaks of one
    request_id: str = ""  # TorchServe's, of the response that it sends
    busy: bool = False
    ended: int = 0  # times that the launcher did it
    drained: bool = False  # all that it said has been read
    answered: int = 0  # requests, with what is not a failure of the server
    failed: int = 0
    failed_in_a_row: int = 0
    responses: Counter[tuple[str, str]] = field(default_factory=Counter)  # by protocol and code
    latency: Histogram = field(default_factory=Histogram)  # from the queue to the response
    queued: Histogram = field(default_factory=Histogram)  # of it, until its batch was handed out
    device_error: str | None = None  # since it started
    output: deque[str] = field(default_factory=lambda: deque(maxlen=200))

    def is_explained(self) -> bool:
        """It has said why it failed, or will not, however often it is started.

        TorchServe may close a worker's output before its last lines are read: a start that failed
        at once is tried again by TorchServe, and heard again.
        """
        return (
            self.timed_out
            or self.failures >= _ATTEMPTS
            or (self.failed_at or 0) - self.started_at > _AT_ONCE
            or any(line.startswith("Traceback") for line in self.output)
        )

    def given_up(self) -> bool:
        """It has stopped, and TorchServe does not say that it tries again."""
        since = None if self.ready or self.retried else self.stopped_at
        return since is not None and time.monotonic() - since > _RETRY


class WorkerLog:
    """Follows the log; ``workers`` are by TorchServe's id."""

    def __init__(self, changed: Callable[[], None], bounds: Sequence[float] = BOUNDS) -> None:
        """``changed`` is called when a worker changes its state; ``bounds`` are of latencies."""
        self._bounds = bounds
        self.workers: dict[str, Worker] = {}
        # Responses that no worker gave, by model, version, protocol and code.
        self.rejected: Counter[tuple[str, str, str, str]] = Counter()
        self.mark = 0  # of the launcher's last call that has been logged
        self._errors: deque[str] = deque(maxlen=10)
        self._tail: deque[str] = deque(maxlen=10)
        self._changed = changed

    def worker(self, label: str = "") -> Worker:
        """One of which nothing has been read."""
        return Worker(label, latency=Histogram(self._bounds), queued=Histogram(self._bounds))

    def read(self, event: Event) -> Event:
        """Take in what was logged, and return it with what is known of its worker. DEBUG is then
        the level of what only those need to see who look closely.
        """
        message = event["message"]
        if event["status"] and (call := _OWN_CALL.match(message)):
            self.mark = max(self.mark, int(call[1] or 0))
            event["level"] = "DEBUG"
            return event
        if number := event["worker"]:
            label = f"{event['model']}_{event['version']}"
            worker = self.workers.get(number) or self.workers.setdefault(number, self.worker(label))
            (self._read_output if event["logger"] == "MODEL_LOG" else self._read)(worker, event)
            event["batch"] = str(worker.received if event["stream"] else worker.batches)
        elif event["status"]:
            self._reject(event)
        if message.startswith(_CHATTER):
            event["level"] = "DEBUG"
        else:
            event["level"] = event["level"].replace("DEBUG", "INFO")  # how a worker fares
            is_error = _ERROR.search(f"{event['level']} {message}")
            (self._errors if is_error else self._tail).append(message)
        return event

    def log_tail(self) -> str:
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
            if not since or not worker.is_explained():
                continue
            if worker.drained or time.monotonic() - since > _OUTPUT_DELAY:
                return explain(worker.label, worker.output, timed_out=worker.timed_out)
        return None

    def _read(self, worker: Worker, event: Event) -> None:
        message = event["message"]
        if event["status"]:
            _count(worker, event)
            event["request_id"], worker.request_id = worker.request_id, ""
        elif message.startswith("Stopped Scanner") and message.endswith("-stdout"):
            worker.drained = True
            self._changed()
        elif message.startswith("Flushing req.cmd") and " LOAD " not in message:
            worker.busy = True
            worker.batches += 1
        elif message.startswith("Backend response time"):
            worker.busy = False
        elif message.startswith("Sending response for jobId"):
            worker.request_id = message.rpartition(" ")[2]
        elif times := _TIMES.fullmatch(message):
            waited, worked = (_NS * int(each) for each in times.groups())
            worker.queued.observe(waited)
            worker.latency.observe(waited + worked)
        elif message.startswith("Retry worker"):
            worker.retried = True
        elif " State change " in message:
            self._change(worker, message.rpartition(" ")[2])
        elif _TIMED_OUT.search(message):
            worker.timed_out = True

    def _reject(self, event: Event) -> None:
        model = _PREDICTION.match(event["path"])
        if model or event["protocol"] == "grpc":
            name, version = model.groups("") if model else ("", "")
            self.rejected[(name, version, event["protocol"], event["status"])] += 1

    def _read_output(self, worker: Worker, event: Event) -> None:
        line = event["message"]
        worker.output.append(line)
        worker.received += line.startswith("Backend received")
        if match := _PID.fullmatch(line):
            worker.pid = int(match[1])
        worker.device_error = worker.device_error or device_error(line)

    def _change(self, worker: Worker, state: str) -> None:
        if state == "WORKER_MODEL_LOADED":
            worker.ready = worker.loaded = True
            worker.load_seconds = time.monotonic() - worker.started_at
            worker.stopped_at, worker.retried = None, False
        elif state == "WORKER_STARTED":
            worker.device_error, worker.failed_in_a_row = None, 0
            worker.timed_out = worker.drained = False
            worker.started_at, worker.received = time.monotonic(), worker.batches
        elif state == "WORKER_STOPPED":
            worker.restarts += worker.ready
            worker.timeouts += worker.ready and worker.timed_out
            worker.ready = worker.busy = worker.retried = False
            worker.stopped_at = worker.stopped_at or time.monotonic()
            worker.failed_at = None if worker.loaded else time.monotonic()
            worker.failures += not worker.loaded
        self._changed()


def _count(worker: Worker, event: Event) -> None:
    """Count a response; one to bad input is not a failure of the server."""
    protocol, code = event["protocol"], event["status"]
    failed = code in _GRPC_FAILURES if protocol == "grpc" else int(code) >= 500
    worker.responses[(protocol, code)] += 1
    worker.failed += failed
    worker.answered += not failed
    worker.failed_in_a_row = worker.failed_in_a_row + 1 if failed else 0
