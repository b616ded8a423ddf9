"""Is an answer right? Failures are grouped, each group with the first one as its example."""

import json
import time
from typing import NamedTuple

from harness.loadtest.notes import FIRST_GROUP, RIGHT, Group
from harness.loadtest.plan import Expected, Request
from harness.models import answer

now = time.perf_counter

_MAX_GROUPS = 60  # for each generator: more kinds of failure than anyone reads
_MAX_KNOWN = 64  # different right answers remembered for each request
_MAX_REMEMBERED = 65_536  # bytes: a larger answer costs more to keep than to judge
_EXAMPLE = 400  # characters: enough for TorchServe's message, short enough not to leak a page


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class Unanswered(Exception):  # noqa: N818 - an outcome, not an error of ours
    """Nothing came back. ``kind`` groups it, ``example`` says it in full."""

    def __init__(self, kind: str, example: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.example = example


class Checker:
    """Gives each outcome a number: RIGHT, or that of its group of failures."""

    def __init__(self, requests: tuple[Request, ...], secret: str | None) -> None:
        self._requests = requests
        self._secret = secret
        self._known: list[set[bytes]] = [set() for _ in requests]
        self._numbers: dict[tuple[str, str], int] = {}
        self.new: list[Group] = []

    def answered(self, index: int, got: Answer) -> int:
        """The outcome of an answer to request ``index``."""
        expected = self._requests[index].expected
        known = self._known[index]
        # Most answers repeat one that was judged before: a look-up, instead of parsing it again.
        if got.status == expected.status and got.body in known:
            return RIGHT
        if got.status != expected.status:
            return self._group(index, f"HTTP {got.status}{_type(got.body)}", _text(got.body))
        if reason := _wrong(expected, got.body):
            return self._group(index, "wrong answer", f"{reason} · {_text(got.body)}", wrong=True)
        if len(known) < _MAX_KNOWN and len(got.body) <= _MAX_REMEMBERED:
            known.add(got.body)
        return RIGHT

    def unanswered(self, index: int, why: Unanswered) -> int:
        """The outcome of a request that got no answer."""
        return self._group(index, why.kind, why.example)

    def _group(self, index: int, kind: str, example: str, *, wrong: bool = False) -> int:
        name = self._requests[index].name
        if len(self._numbers) >= _MAX_GROUPS and (name, kind) not in self._numbers:
            name, kind = "", "failures of further kinds"
        number = self._numbers.get((name, kind))
        if number is None:
            number = self._numbers[name, kind] = FIRST_GROUP + len(self._numbers)
            if self._secret:
                example = example.replace(self._secret, "•••")
            self.new.append(Group(name, kind, wrong, example[:_EXAMPLE]))
        return number


def _wrong(expected: Expected, body: bytes) -> str | None:
    if expected.tolerance is not None:
        return answer.wrong(_Sample(expected.answer, expected.tolerance), body)
    if expected.contains is not None and expected.contains.encode() not in body:
        return f"does not contain {expected.contains!r}"
    return None


class _Sample(NamedTuple):
    answer: answer.Json
    tolerance: answer.Tolerance


def _type(body: bytes) -> str:
    """TorchServe names its errors: {"code": 503, "type": "ServiceUnavailableException", …}."""
    try:
        named = json.loads(body)["type"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" {named[:60]}" if isinstance(named, str) else ""


def _text(body: bytes) -> str:
    return " ".join(body[: 4 * _EXAMPLE].decode("utf-8", "replace").split())
