"""Which trace a line of TorchServe's log is of; the launcher asks, before it writes the line.

    … INFO  W-9000-slow_1.0-stdout MODEL_LOG - [SPANS]{"batch":7,"size":2,"parents":{"0":"…-…"}}
    … INFO  W-9000-slow_1.0 ACCESS_LOG - /10.0.0.9:1 "POST /predictions/slow HTTP/1.1" 200 307

A worker prints the record before its handler runs. But TorchServe reads it in another thread than
the one that answers, and may log it after the answers. Both sides count the batches of the worker
from its start: an answer waits for the record of its batch, and with it what its thread has logged
since, but not for long: a handler may print into a record.
"""

import json
import time
from collections import defaultdict, deque
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field

_MARK = "[SPANS]"
_LONGEST = 1.0  # seconds that an answer waits; TorchServe logs both within milliseconds
_MOST = 5000  # lines of a worker that wait: three for each answer, and a batch has many

Event = MutableMapping[str, str]
"""A line of the log: texts by key, those of the launcher's log4j2.xml."""


@dataclass
class _Worker:
    """One process of a worker."""

    batch: int = 0  # the last that it was given
    answered: int = 0  # requests of it so far
    recorded: int = 0  # the last whose record was read
    ids: dict[str, str] = field(default_factory=dict)  # of it, by place
    printing: str = ""  # trace of what its handler prints now; empty if it may be of several
    # What its thread in TorchServe logged: when, and of an answer its batch and place.
    waiting: deque[tuple[float, int, int, Event]] = field(default_factory=deque)

    def ready(self, longest: float) -> Iterator[Event]:
        """What waits no more."""
        while self.waiting:
            since, batch, place, event = self.waiting[0]
            waited = time.monotonic() - since
            if batch > self.recorded and waited < longest and len(self.waiting) <= _MOST:
                return
            self.waiting.popleft()
            if batch and batch == self.recorded:
                event["trace_id"] = self.ids.get(str(place), "")
            yield event

    def follow(self, event: Event) -> None:
        """Take in a line of its thread in TorchServe, which answers in the batch's order."""
        batch, message = 0, event["message"]
        if event.get("status"):
            batch, self.answered = self.batch, self.answered + 1
        elif message.startswith("Flushing req.cmd") and " LOAD " not in message:
            self.batch, self.answered = self.batch + 1, 0
        self.waiting.append((time.monotonic(), batch, self.answered - 1, event))

    def read_record(self, text: str) -> None:
        """Take in what the worker printed before or after a batch."""
        try:
            record = json.loads(text)
            number, parents = record["batch"], record.get("parents", {})
            ids = {place: each.partition("-")[0] for place, each in parents.items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return  # the handler printed into it, or something like it
        self.printing = ids.get("0", "") if record.get("size") == 1 else ""
        if "parents" in record and isinstance(number, int):
            self.recorded, self.ids = number, ids


class TraceIds:
    """Gives each line that is read on, in the order of its thread.

    Args:
        longest: seconds that an answer waits.
    """

    def __init__(self, longest: float = _LONGEST) -> None:
        self._longest = longest
        self._workers: defaultdict[str, _Worker] = defaultdict(_Worker)

    def read(self, event: Event) -> Iterator[Event]:
        """Take in a line, and give those that wait no more."""
        number, message = event.get("worker", ""), event["message"]
        worker = self._workers[number]
        if event["logger"] == "MODEL_LOG":
            if message.startswith(_MARK):
                worker.read_record(message.removeprefix(_MARK))
            event["trace_id"] = event.get("trace_id") or worker.printing
        if event.get("stream") or not number:
            yield event
        elif message.endswith("-> WORKER_STARTED"):
            yield from worker.ready(0.0)
            self._workers[number] = _Worker()
            yield event
        else:
            worker.follow(event)
        yield from self.release(self._longest)

    def release(self, longest: float = 0.0) -> Iterator[Event]:
        """Give what has waited that long."""
        for worker in self._workers.values():
            yield from worker.ready(longest)
