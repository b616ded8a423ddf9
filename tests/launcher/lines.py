"""Lines of TorchServe's log."""

from harness.launcher.event import Event

STARTED = "State change null -> WORKER_STARTED"
LOADED = "State change WORKER_STARTED -> WORKER_MODEL_LOADED"
CRASHED = "State change WORKER_MODEL_LOADED -> WORKER_STOPPED"
FAILED = "State change WORKER_STARTED -> WORKER_STOPPED"
BATCH = "Flushing req.cmd PREDICT repeats 1 to backend at: 1795454868810"
STREAM = "Flushing req.cmd STREAMPREDICT repeats 1 to backend at: 1795454868810"
LOAD = "Flushing req.cmd LOAD repeats 1 to backend at: 1795454859847"
ANSWERED = "Backend response time: 307"
TIMES = "Waiting time ns: 40000000, Backend time ns: 307228103"
RETRY = "Retry worker: 9000 in 1 seconds."
END = "Stopped Scanner - W-9000-slow_1.0-stdout"


def own(message: str, number: str = "9000", logger: str = "WorkerThread") -> Event:
    """A line of the worker's thread in TorchServe."""
    text = f"W-{number}-slow_1.0 {message}" if message.startswith("State") else message
    return _of_worker(number, event(text, logger, "DEBUG"))


def answer(status: int, number: str = "9000", path: str = "/predictions/slow") -> Event:
    """The access line of a request that the worker has answered."""
    return _of_worker(number, access("POST", path, status))


def access(method: str, path: str, status: int, query: str = "") -> Event:
    """An access line of no worker."""
    protocol, version = ("grpc", "2.0") if method == "gRPC" else ("http", "1.1")
    client = "10.0.0.9" if not query else "127.0.0.1"
    text = f'/{client}:52632 "{method} {path}{query} HTTP/{version}" {status} 153'
    keys = {"method": method, "path": path, "protocol": protocol, "status": str(status)}
    keys |= {"client": f"{client}:52632", "duration_ms": "153"}
    return event(text, "ACCESS_LOG") | keys


def log_line(
    message: str, stream: str = "stdout", logger: str = "MODEL_LOG", number: str = "9000"
) -> Event:
    """A line that the worker printed, or that was logged of its stream."""
    return _of_worker(number, event(message, logger), stream)


def event(message: str, logger: str = "ModelServer", level: str = "INFO") -> Event:
    """What any thread logged."""
    keys = {"level": level, "logger": logger, "thread": "main", "message": message}
    return Event(str, time="2026-11-23T17:41:14.279Z", **keys)


def _of_worker(number: str, keys: Event, stream: str = "") -> Event:
    thread = f"W-{number}-slow_1.0{stream and '-' + stream}"
    worker = {"thread": thread, "worker": number, "model": "slow", "version": "1.0"}
    return keys | worker | {"stream": stream}
