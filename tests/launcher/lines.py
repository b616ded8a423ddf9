"""Lines of TorchServe's log, as log4j2.xml has them written."""

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


def own(message: str, number: str = "9000", logger: str = "WorkerThread") -> str:
    """A line of the worker's thread in TorchServe."""
    text = f"W-{number}-slow_1.0 {message}" if message.startswith("State") else message
    return f"2026-11-23T17:41:14,279 DEBUG W-{number}-slow_1.0 {logger} - {text}"


def answer(status: int, number: str = "9000") -> str:
    """The access line of a request that the worker has answered."""
    text = f'/10.0.0.9:52632 "POST /predictions/slow HTTP/1.1" {status} 153'
    return own(text, number, "ACCESS_LOG")


def log_line(
    message: str, stream: str = "stdout", logger: str = "MODEL_LOG", number: str = "9000"
) -> str:
    """A line that the worker printed, or that was logged of its stream."""
    return f"2026-11-23T17:41:14,280 INFO  W-{number}-slow_1.0-{stream} {logger} - {message}"
