"""What spans cost: the CPU time that they add in a worker, in the exporter and in a load generator.

In a worker it is the difference to the same call without the module, in the same process, in turn;
without ``--traces`` there is no module. The handler does nothing, so all of it is the spans' own.
"""

import contextlib
import io
import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench import Figure
from harness.loadtest import tracing
from harness.trace_export.log_lines import LogLines
from harness.trace_export.spans import spans
from harness.trace_export.worker.sitecustomize import MARK, Recorder

TURNS, CALLS = 9, 2_000
BATCH = 8  # requests
_AT = "2026-11-23T17:41:14.279Z"
_PARENT = f"{1:032x}-{2:016x}"
_HEADERS = ("host", "user-agent", "accept", "authorization", "content-type", "content-length")


class _Service:
    """A service whose handler does nothing."""

    def __init__(self) -> None:
        self._entry_point: Callable[..., Any] = self.handle

    def handle(self, batch: Sequence[object], _: object) -> Sequence[object]:
        return batch

    def predict(self, batch: Sequence[object]) -> bytes:
        self._entry_point(batch, None)
        return b"\0\0\0\xc8"


def run() -> list[Figure]:
    """Microseconds for a batch in a worker, and for a request in the other two."""
    bare = _Service()
    alone = _microseconds(lambda: bare.predict(_batch(sampled=0)))
    figures = [
        _figure(f"worker, a batch of {BATCH}, none sampled", _cost_with_hook(sampled=0), alone),
        _figure(f"worker, a batch of {BATCH}, one sampled", _cost_with_hook(sampled=1), alone),
        _figure(f"worker, a batch of {BATCH}, all sampled", _cost_with_hook(sampled=BATCH), alone),
    ]
    lines = LogLines()
    numbers = itertools.count(1)
    exporter = _microseconds(lambda: _export(lines, next(numbers)))
    counts = itertools.count(1)
    generator = _microseconds(lambda: _traceparent(next(counts)))
    return [
        *figures,
        _figure("exporter, a sampled request", exporter),
        _figure("load generator, a request", generator),
    ]


def _figure(what: str, ours: Sequence[float], theirs: Sequence[float] | None = None) -> Figure:
    theirs = theirs or [0.0] * len(ours)
    more = [mine - its for mine, its in zip(ours, theirs, strict=True)]
    median = statistics.median(more)
    spread = (max(more) - min(more)) / median if median else None
    return Figure(f"CPU time that tracing adds: {what}", median, "µs", spread=spread)


def _microseconds(call: Callable[[], object]) -> list[float]:
    turns = []
    for _ in range(TURNS):
        start = time.process_time()
        for _ in range(CALLS):
            call()
        turns.append((time.process_time() - start) / CALLS * 1e6)
    return turns


def _cost_with_hook(*, sampled: int) -> list[float]:
    recorder, service = Recorder(), _Service()
    with contextlib.redirect_stdout(io.StringIO()):
        return _microseconds(
            lambda: recorder.predict(_Service.predict, service, _batch(sampled=sampled))
        )


def _batch(*, sampled: int) -> list[dict[str, Any]]:
    """As TorchServe's worker reads it: every request has headers, some a traceparent."""
    common = [{"name": bytearray(name.encode()), "value": bytearray(b"x")} for name in _HEADERS]
    value = bytearray(f"00-{_PARENT}-01".encode())
    traced = [*common, {"name": bytearray(b"traceparent"), "value": value}]
    headers = [traced if place < sampled else common for place in range(BATCH)]
    return [{"headers": each, "parameters": [{"name": "body"}]} for each in headers]


def _export(lines: LogLines, number: int) -> None:
    before = {"batch": number, "size": 1, "parents": {"0": _PARENT}}
    steps = [["decode", 1, 2, ""], ["predict", 2, 3, ""], ["encode", 3, 4, ""]]
    after = {"batch": number, "start": 1, "end": 4, "code": 200, "error": "", "steps": steps}
    for logger, message in (
        ("WorkerThread", "Flushing req.cmd PREDICT repeats 1 to backend at: 1"),
        ("MODEL_LOG", f"{MARK}{json.dumps(before)}"),
        ("MODEL_LOG", f"{MARK}{json.dumps(after)}"),
        ("ACCESS_LOG", '/10.0.0.9:1 "POST /predictions/m HTTP/1.1" 200 307'),
        ("RestJob", "Waiting time ns: 1, Backend time ns: 3"),
        ("WorkerThread", "Backend response time: 307"),
    ):
        line = {"time": _AT, "worker": "9000", "model": "m", "version": "1.0"}
        for batch in lines.read(json.dumps({**line, "logger": logger, "message": message})):
            json.dumps(list(spans(batch)))


def _traceparent(count: int) -> str:
    sampled = tracing.is_sampled(count, 0.1)
    return tracing.traceparent("ab" * 8, tracing.number(0, count), sampled=sampled)
