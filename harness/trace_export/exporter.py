"""Sends spans to a collector by OTLP over HTTP, as JSON, in a thread of its own.

The sizes are the defaults of OpenTelemetry's batch span processor. A collector that is away costs
spans, never a request: what does not fit in the queue meanwhile is dropped and counted.
"""

import json
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from http.client import HTTPException

from .spans import Span, attributes

_QUEUE, _AT_ONCE = 2_048, 512  # spans
_DELAY = 1.0  # seconds that a span waits for others
_TIMEOUT = 10.0  # seconds for one call
_AGAIN = {429, 502, 503, 504}  # statuses after which OTLP wants the same to be sent again
_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Exporter:
    """Sends to ``<url>/v1/traces``; ``resource`` says who they are from, ``log`` takes news."""

    def __init__(
        self, url: str, resource: Mapping[str, object], log: Callable[[str], None]
    ) -> None:
        self.sent = self.dropped = 0
        self._url = f"{url.rstrip('/')}/v1/traces"
        self._resource = {"attributes": attributes(resource)}
        self._log = log
        self._waiting: deque[Span] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="exporter")
        self._thread.start()

    def put(self, spans: Iterable[Span]) -> None:
        """Hand spans over; those without room are dropped."""
        with self._changed:
            for span in spans:
                if len(self._waiting) < _QUEUE:
                    self._waiting.append(span)
                else:
                    self.dropped += 1
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Send what waits, within ``seconds``."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        reported = 0
        while batch := self._next():
            if reason := self._send(batch):
                self.dropped += len(batch)
                self._log(f"{len(batch)} spans not sent to {self._url}: {reason}")
            if self.dropped > reported:
                reported = self.dropped
                self._log(f"{reported} spans dropped so far")

    def _next(self) -> list[Span]:
        """The next spans to send; none once it is closed and all are sent."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            deadline = time.monotonic() + _DELAY
            while len(self._waiting) < _AT_ONCE and not self._closed:
                if (left := deadline - time.monotonic()) <= 0:
                    break
                self._changed.wait(left)
            return [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]

    def _send(self, spans: list[Span]) -> str:
        """Why they were not taken; nothing if they were."""
        scoped = {"scope": {"name": "torchserve-gitops"}, "spans": spans}
        body = json.dumps({"resourceSpans": [{"resource": self._resource, "scopeSpans": [scoped]}]})
        reason = ""
        for delay in (0.0, 1.0, 5.0):
            with self._changed:
                if delay and self._closed:
                    break
                self._changed.wait_for(lambda: self._closed, delay)
            request = urllib.request.Request(  # noqa: S310 - the launcher's argument, http or https
                self._url, body.encode(), {"Content-Type": "application/json"}
            )
            try:
                with _OPEN(request, timeout=_TIMEOUT):
                    self.sent += len(spans)
                    return ""
            except (OSError, HTTPException) as error:
                reason = str(error)
                if getattr(error, "code", 503) not in _AGAIN:
                    break
        return reason
