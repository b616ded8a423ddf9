"""Is a response correct? Failures are grouped, each group with the first one as its example."""

import json
import time
from typing import NamedTuple

from harness.loadtest.generator.outside import Outside, Unchecked
from harness.loadtest.plan import Request
from harness.loadtest.window import CORRECT, FIRST_GROUP, Checks, Group
from harness.models import answer

now = time.perf_counter

_MAX_GROUPS = 60  # for each generator: more kinds of failure than anyone reads
_MAX_KNOWN = 64  # different correct bodies remembered for each request
_MAX_REMEMBERED = 65_536  # bytes: a larger body costs more to keep than to check
_COSTLY = 0.001  # s of CPU: a check that takes more delays what is to be sent meanwhile
_EXAMPLE = 400  # characters: enough for TorchServe's message, short enough not to leak a page


class Response(NamedTuple):
    """A status, a body, and the moment of its first byte (``now``)."""

    status: int
    body: bytes
    first: float


class NoResponse(Exception):  # noqa: N818 - an outcome, not an error of ours
    """No response came. ``kind`` groups it, ``example`` is the whole reason."""

    def __init__(self, kind: str, example: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.example = example


class Checker:
    """Gives each outcome a number: CORRECT, or that of its group of failures."""

    def __init__(self, requests: tuple[Request, ...], secret: str | None) -> None:
        self._requests = requests
        self._secret = secret
        self._known: list[set[bytes]] = [set() for _ in requests]
        self._numbers: dict[tuple[str, str], int] = {}
        self._slow = [False] * len(requests)
        self._costly = [request.expected.costly for request in requests]
        self.outside = Outside([request.expected for request in requests])
        self.checks = Checks()
        self.new: list[Group] = []

    def check(self, index: int, response: Response) -> int:
        """The outcome of a response to request ``index``; a costly check lets others go on."""
        expected = self._requests[index].expected
        known = self._known[index]
        # Most responses repeat one that was checked before: a look-up, instead of parsing it again.
        if response.status in expected.status and response.body in known:
            return CORRECT
        if response.status not in expected.status:
            return self._group(
                index,
                f"HTTP {response.status}{_type(response.body)}",
                _text(response.body),
                expected=response.status in self._requests[index].also,
            )
        try:
            reason = self._wrong(index, response.body)
        except Unchecked:
            self.checks.unchecked += 1
            return CORRECT
        if reason:
            return self._group(
                index, "wrong answer", f"{reason} · {_text(response.body)}", wrong=True
            )
        if len(known) < _MAX_KNOWN and len(response.body) <= _MAX_REMEMBERED:
            known.add(response.body)
        return CORRECT

    def _wrong(self, index: int, body: bytes) -> str | None:
        """Check here what is cheap, and elsewhere what has proved or is known not to be."""
        if self._costly[index]:
            reason = self.outside.wrong(index, body)
            self.checks.outside += 1
            return reason
        self.checks.inside += 1
        began = time.thread_time()
        reason = answer.wrong(self._requests[index].expected, body)
        # The first one pays for imports; a second one that is as slow is not an accident.
        slow = time.thread_time() - began > _COSTLY
        self._costly[index] = slow and self._slow[index]
        self._slow[index] = slow
        return reason

    def record_silence(self, index: int, error: NoResponse) -> int:
        """The outcome of a request without a response."""
        return self._group(index, error.kind, error.example)

    def _group(
        self, index: int, kind: str, example: str, *, wrong: bool = False, expected: bool = False
    ) -> int:
        name = self._requests[index].name
        if len(self._numbers) >= _MAX_GROUPS and (name, kind) not in self._numbers:
            name, kind = "", "failures of further kinds"
        number = self._numbers.get((name, kind))
        if number is None:
            number = self._numbers[name, kind] = FIRST_GROUP + len(self._numbers)
            if self._secret:
                example = example.replace(self._secret, "•••")
            self.new.append(Group(name, kind, wrong, example[:_EXAMPLE], expected))
        return number


def _type(body: bytes) -> str:
    """TorchServe names its errors: {"code": 503, "type": "ServiceUnavailableException", …}."""
    try:
        error_type = json.loads(body)["type"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" {error_type[:60]}" if isinstance(error_type, str) else ""


def _text(body: bytes) -> str:
    return " ".join(body[: 4 * _EXAMPLE].decode("utf-8", "replace").split())
