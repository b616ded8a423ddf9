"""Who sees both answers: gets a copy of clients' requests, and asks who serves and the canary.

    shadow = Shadow(known.read(path, "production"), percent=10)
    with serving(shadow, ("127.0.0.1", 8098)) as server:
        server.serve_forever()

The gateway sends the copy (RequestMirror of the group's HTTPRoute) and throws away what comes back,
so that nobody would see a wrong answer. Of so many percent of the copies both answers are fetched
here, and compared as a sample's would be: by the tolerance of the model's samples, else byte by
byte. Without a canary nobody is asked. Where they differ, who serves is asked again: a model
that does not agree with itself cannot be compared. A payload is kept only in the folder that
somebody names; no header but the content's own is passed on, and so no token.
"""

import base64
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from harness.canary.known import Groups
from harness.canary.server import BAD_REQUEST, GOOD, LARGEST, WRONG, Handler, metadata
from harness.core import files
from harness.core.errors import UsageError
from harness.core.http_server import Request, RequestError, Server
from harness.core.values import text
from harness.models import answer
from harness.models.answer import Expected, Tolerance
from harness.models.derive import Answer
from harness.models.samples import PreparedSample
from harness.snapshot import routes

_SECONDS = 30.0  # for one answer
_PATIENCE = 45.0  # for the requests that Flagger wants compared; it waits 60 s itself
_AT_ONCE = 32  # requests that are being compared; another one is skipped, and counted
_KEPT = 20  # differences whose payloads are kept, where somebody wants them
_LOST = Answer(0, b"")  # the connection broke before the answer was there
_UNSERVED = {404, *range(500, 600)}  # 404: the canary brings the model
_OF_CONTENT = ("content-type", "content-encoding", "accept")

LARGEST_COPY = 1 << 23
"""Bytes of a request that is compared: of a larger one nobody has room for 32 at once."""

OUTCOMES = ("same", "different", "unsteady", "unserved", "skipped")
"""What became of a request: the answers agree, or not; the model does not agree with itself; who
serves failed; it was not compared."""

PRIMARY = "http://{group}-models-primary.torchserve.svc.cluster.local:8080"
"""The Service that Flagger makes for the pods of a group that serve."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A request of a client's, as the gateway sent it on.

    Attributes:
        path: with its query.
        headers: those of the content.
        body: as it came.
    """

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Shadow:
    """Compares, and counts.

    Attributes:
        groups: the models of each group, with their samples.
        percent: of the copies that are compared.
        canary: address of a group's canary, with ``{group}`` for the group.
        primary: of the pods that serve.
        keep: the folder for payloads of the first differences; None keeps none.
    """

    groups: Groups
    percent: float
    canary: str
    primary: str = PRIMARY
    keep: Path | None = None
    _counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_AT_ONCE))
    _due: float = 0.0

    def see(self, path: str, take: Callable[[], Copy]) -> None:
        """Compare what both answer to a request, if its turn has come and a canary is there.

        Args:
            path: of the request.
            take: reads it whole, which only those need that are compared.

        Raises:
            RequestError: it is too large to be compared, and counted as skipped.
        """
        model = routes.model_of(path) or ""
        group = next((name for name, models in self.groups.items() if model in models), None)
        if not group or not self._is_due():
            return
        try:
            outcome = self._outcome(group, model, take)
        except RequestError:
            self._count(group, model, "skipped")
            raise
        if outcome:
            self._count(group, model, outcome)

    def decide(self, body: bytes, seconds: float = _PATIENCE) -> tuple[int, str]:
        """The status and the text that Flagger gets for a question: whether of the next
        ``requests`` no more than ``percent`` get other answers. No answer is in the text.
        """
        try:
            wish = metadata(body, self.groups)
            group, requests = text(wish, "group"), int(text(wish, "requests"))
            percent = float(text(wish, "percent"))
        except (UsageError, ValueError) as error:
            return BAD_REQUEST, f"{error}\n"
        compared, different = self._wait(group, requests, seconds)
        if compared < requests:
            return WRONG, f"{compared} of {requests} requests were there to compare\n"
        summary = f"{different} of {compared} answers differ from those of the pods that serve\n"
        return WRONG if 100 * different > percent * compared else GOOD, summary

    def _wait(self, group: str, requests: int, seconds: float) -> tuple[int, int]:
        """How many of a group's next requests were compared in time, and how many differed."""
        with self._changed:
            before = self._totals(group)
            enough = before[0] + requests
            self._changed.wait_for(lambda: self._totals(group)[0] >= enough, seconds)
            after = self._totals(group)
        return after[0] - before[0], after[1] - before[1]

    def metrics(self) -> str:
        """Every count, those that are 0 too, as Prometheus reads it."""
        lines = ["# TYPE shadow_answers_total counter"]
        for group, models in self.groups.items():
            for model in models:
                for outcome in OUTCOMES:
                    labels = f'group="{group}",model={json.dumps(model)},outcome="{outcome}"'
                    count = self._counts[group, model, outcome]
                    lines.append(f"shadow_answers_total{{{labels}}} {count}")
        return "\n".join(lines) + "\n"

    def _is_due(self) -> bool:
        """Whether this one is among the percent: evenly spread, whoever asks."""
        with self._changed:
            self._due += self.percent
            is_due = self._due >= 100
            self._due -= 100 * is_due
            return is_due

    def _count(self, group: str, model: str, outcome: str) -> None:
        with self._changed:
            self._counts[group, model, outcome] += 1
            self._changed.notify_all()

    def _totals(self, group: str) -> tuple[int, int]:
        same, different = (
            sum(self._counts[group, model, outcome] for model in self.groups[group])
            for outcome in ("same", "different")
        )
        return same + different, different

    def _outcome(self, group: str, model: str, take: Callable[[], Copy]) -> str:
        """What became of it, nothing without a canary; no more than some are compared at once."""
        if not self._slots.acquire(blocking=False):
            return "skipped"
        try:
            return self._compare(group, model, take())
        finally:
            self._slots.release()

    def _compare(self, group: str, model: str, copy: Copy) -> str:
        canary = _ask(self.canary.format(group=group), copy)
        if canary is None:
            return ""
        primary = self.primary.format(group=group)
        served = _ask(primary, copy) or _LOST
        if served == _LOST or served.status in _UNSERVED:
            return "unserved"
        expected = _correct_answer(self.groups[group][model], served)
        if not answer.wrong_response(expected, canary.status, canary.body):
            return "same"
        again = _ask(primary, copy) or _LOST
        if answer.wrong_response(expected, again.status, again.body):
            return "unsteady"
        if self.keep:
            self._keep(self.keep, model, copy, served, canary)
        return "different"

    def _keep(self, folder: Path, model: str, copy: Copy, served: Answer, canary: Answer) -> None:
        number = sum(self._counts[key] for key in self._counts if key[-1] == "different")
        if number < _KEPT:
            payloads = {"request": copy.body, "served": served.body, "canary": canary.body}
            for name, content in payloads.items():
                files.write(folder / f"{number}-{routes.element(model)}.{name}", content)


def _correct_answer(samples: Sequence[PreparedSample], served: Answer) -> Expected:
    """What a correct answer is: the one that clients get, as exactly as the model's samples ask."""
    if served.status != 200:
        return Expected(status=(served.status,))
    known = [each.expected.tolerance for each in samples if each.expected.tolerance]
    tolerance = Tolerance(
        absolute=max((each.absolute for each in known), default=0.0),
        relative=max((each.relative for each in known), default=0.0),
        image=max((each.image for each in known), default=0.0),
    )
    if tolerance.image:
        return Expected(image=base64.b64encode(served.body).decode(), tolerance=tolerance)
    try:
        return Expected(answer=json.loads(served.body), tolerance=tolerance)
    except (ValueError, RecursionError):
        return Expected(sha256=hashlib.sha256(served.body).hexdigest())


def _ask(url: str, copy: Copy) -> Answer | None:
    """An answer, however good; None where nobody listens."""
    where = urlsplit(url)
    connection = HTTPConnection(where.hostname or "", where.port, timeout=_SECONDS)
    try:
        connection.connect()
    except OSError:
        return None
    try:
        connection.request("POST", copy.path, copy.body, copy.headers)
        reply = connection.getresponse()
        return Answer(reply.status, reply.read())
    except (OSError, HTTPException):
        return _LOST
    finally:
        connection.close()


def serving(shadow: Shadow, address: tuple[str, int]) -> Server:
    """The server of copies, of Flagger's questions (``POST /``) and of figures (``/metrics``)."""

    class Listener(Handler):
        """A copy, which is answered when it is compared, or a question."""

        def question(self, request: Request) -> tuple[int, str]:
            if request.target == "/":
                return shadow.decide(request.body(LARGEST))
            shadow.see(request.target, lambda: _copy(request))
            return GOOD, ""

        def state(self) -> str:
            return shadow.metrics()

    return Server(address, Listener)


def _copy(request: Request) -> Copy:
    headers = {name: request.headers[name] for name in _OF_CONTENT if name in request.headers}
    return Copy(request.target, headers, request.body(LARGEST_COPY))
