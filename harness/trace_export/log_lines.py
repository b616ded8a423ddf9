"""What TorchServe's log says of a batch, and what the worker's two records say: joined.

    … DEBUG W-9000-slow_1.0 WorkerThread - Flushing req.cmd PREDICT repeats 1 to backend at: 1795…
    … INFO  W-9000-slow_1.0-stdout MODEL_LOG - [SPANS]{"batch":7,"size":2,"parents":{"0":"…-…"}}
    … INFO  W-9000-slow_1.0-stdout MODEL_LOG - [SPANS]{"batch":7,"start":…,"end":…,"steps":[…]}
    … INFO  W-9000-slow_1.0 ACCESS_LOG - /10.0.0.9:1 "POST /predictions/slow HTTP/1.1" 200 307
    … DEBUG W-9000-slow_1.0 RestJob - Waiting time ns: 102841, Backend time ns: 307228103
    … INFO  W-9000-slow_1.0 WorkerThread - Backend response time: 307

The lines are JSON, with the keys of the launcher's log4j2.xml.

TorchServe answers the requests of a batch in the batch's order, on the worker's thread, whose lines
keep their order; the worker's own lines come through another thread, earlier or later. The log has
no id to join them by: both sides count the worker's batches from its start.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_MARK = "[SPANS]"
_FLUSHING = re.compile(r"Flushing req\.cmd (?!LOAD)\w+ .* at: (\d+)")
_ANSWER = re.compile(r'/\S+ "(\S+) (\S+) HTTP/([\d.]+)" (\d+) \d+')
_TIMES = re.compile(r"Waiting time ns: (\d+), (?:Backend|Inference) time ns: (\d+)")
_MS = 1_000_000  # ns
_KEPT = 8  # batches of a worker whose records have not come; the next one's may be read before


@dataclass
class Answer:
    """One request's answer, as TorchServe logged it.

    Attributes:
        at: when it was logged, in ns of the Unix time, to the millisecond.
        waited, worked: in ns, from its arrival to its place in a batch, and from there to its
            answer; None over gRPC if it failed, where TorchServe logs neither.
    """

    at: int
    method: str
    path: str
    protocol: str
    code: int
    waited: int | None = None
    worked: int | None = None


@dataclass
class Batch:
    """What one worker was given at once.

    Attributes:
        model: name and version, as TorchServe joins them.
        parents: ``<trace id>-<span id>`` of each sampled request, by its place in the batch.
        answers: by place; fewer than ``size`` if TorchServe did not answer each exactly once.
        start, end: of the handler's call and what TorchServe does around it, in ns of Unix time.
        code: of the whole batch, 200 unless the handler raised; 0: the worker ended with it.
        error: the class of what the handler raised.
        steps: name, start, end and error of each step of the handler.
    """

    worker: str
    model: str
    number: int
    handed_over: int
    size: int = 0
    parents: dict[int, str] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    closed: bool = False
    start: int = 0
    end: int = 0
    code: int = 0
    error: str = ""
    steps: list[tuple[str, int, int, str]] = field(default_factory=list)


class LogLines:
    """Reads the log of one TorchServe."""

    def __init__(self) -> None:
        self._open: dict[str, list[Batch]] = {}
        self._numbers: dict[str, int] = {}

    def read(self, line: str) -> Iterator[Batch]:
        """Take in a line, and give the batch that it completes."""
        try:
            event: dict[str, str] = json.loads(line)
            worker, logger, message = event["worker"], event["logger"], event["message"]
        except (ValueError, TypeError, KeyError):  # the JVM's own text
            return
        if not worker:
            return
        if logger == "MODEL_LOG":
            if message.startswith(_MARK):
                yield from self._record(worker, message[len(_MARK) :])
        elif flushing := _FLUSHING.fullmatch(message):
            model = f"{event['model']}_{event['version']}"
            self._begin(worker, model, int(flushing[1]) * _MS)
        elif message.endswith("-> WORKER_STARTED"):
            self._numbers[worker], self._open[worker] = 0, []
        elif batches := self._open.get(worker):
            yield from self._follow(batches[-1], event["time"], logger, message)

    def _follow(self, batch: Batch, at: str, logger: str, message: str) -> Iterator[Batch]:
        """A line of the worker's thread while, or after, it has the batch."""
        ended = " State change " in message
        if logger == "ACCESS_LOG" and (answer := _ANSWER.fullmatch(message)):
            batch.answers.append(_answer(at, answer))
        elif batch.answers and (times := _TIMES.fullmatch(message)):
            batch.answers[-1].waited, batch.answers[-1].worked = map(int, times.groups())
        elif ended or message.startswith("Backend response time"):
            batch.closed = True
            if batch.parents and (batch.end or ended):
                yield self._take(batch)

    def _begin(self, worker: str, model: str, at: int) -> None:
        number = self._numbers[worker] = self._numbers.get(worker, 0) + 1
        batches = self._open.setdefault(worker, [])
        batches.append(Batch(worker, model, number, at))
        del batches[:-_KEPT]

    def _record(self, worker: str, text: str) -> Iterator[Batch]:
        try:
            record: dict[str, Any] = json.loads(text)
        except ValueError:  # the handler printed into the middle of it
            return
        batch = next(
            (each for each in self._open.get(worker, ()) if each.number == record["batch"]), None
        )
        if batch is None:
            return
        if "parents" in record:
            batch.size = record["size"]
            batch.parents = {int(place): each for place, each in record["parents"].items()}
            return
        batch.start, batch.end, batch.code = record["start"], record["end"], record["code"]
        batch.error, batch.steps = record["error"], [tuple(step) for step in record["steps"]]
        if batch.closed and batch.parents:
            yield self._take(batch)

    def _take(self, batch: Batch) -> Batch:
        self._open[batch.worker].remove(batch)
        return batch


def _answer(at: str, match: re.Match[str]) -> Answer:
    method, path, version, code = match.groups()
    ns = round(datetime.fromisoformat(at).timestamp() * 1000) * _MS
    return Answer(ns, method, path, "grpc" if version.startswith("2") else "http", int(code))
