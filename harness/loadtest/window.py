"""What a generator records of each request, and how a second of it travels: packed arrays.

Times are whole microseconds except for ``due``, in seconds of the schedule. ``index`` is the
request's index in the plan. ``outcome`` is CORRECT, DROPPED (never sent: too many in flight), or
FIRST_GROUP plus the number of the worker's group of failures. ``trace`` is the number in the
trace's id of a request that asked to be traced, else 0.
"""

import base64
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

CORRECT = 0
DROPPED = 1
FIRST_GROUP = 2

_ARRAYS = {
    "due": "d",
    "late": "Q",
    "first": "Q",
    "service": "Q",
    "index": "H",
    "outcome": "H",
    "trace": "Q",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Failures of one kind.

    Attributes:
        wrong: a response came, with the expected status, and its content is incorrect.
        example: the first of them, in full.
        expected: the profile expects this status besides the correct answer's: not a failure.
    """

    name: str
    kind: str
    wrong: bool
    example: str
    expected: bool = False


@dataclass(slots=True)
class Checks:
    """Answers that were looked at, since the last window: where, and how many were not."""

    inside: int = 0
    outside: int = 0
    unchecked: int = 0

    def take(self) -> list[int]:
        """The counts, which begin again."""
        counts = [self.inside, self.outside, self.unchecked]
        self.inside = self.outside = self.unchecked = 0
        return counts

    def __iadd__(self, other: "Checks") -> Self:
        self.inside += other.inside
        self.outside += other.outside
        self.unchecked += other.unchecked
        return self


class Samples:
    """What happened since the last window."""

    __slots__ = ("_cpu", "_wall", *(f"_{name}" for name in _ARRAYS))

    def __init__(self) -> None:
        self._due = array("d")
        self._late, self._first, self._service = array("Q"), array("Q"), array("Q")
        self._index, self._outcome = array("H"), array("H")
        self._trace = array("Q")
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def add(
        self,
        due: float,
        late: float,
        service: float,
        index: int,
        outcome: int,
        first: float = 0.0,
        trace: int = 0,
    ) -> None:
        """Record one request; every time is in seconds, ``first`` from its sending."""
        self._due.append(due)
        self._late.append(int(late * 1e6) if late > 0 else 0)
        self._first.append(int(first * 1e6))
        self._service.append(int(service * 1e6))
        self._index.append(index)
        self._outcome.append(outcome)
        self._trace.append(trace)

    def pack(self) -> dict[str, Any]:
        """The window so far: ``cpu`` seconds used in ``wall`` seconds, and the arrays as bytes."""
        return {
            "cpu": time.process_time() - self._cpu,
            "wall": time.perf_counter() - self._wall,
            **{name: getattr(self, f"_{name}").tobytes() for name in _ARRAYS},
        }


@dataclass(frozen=True, slots=True)
class Window:
    """A second of one worker, as it arrives. ``groups`` are its groups that are new in it."""

    worker: int
    cpu: float
    wall: float
    in_flight: int
    groups: tuple[Group, ...]
    checks: Checks
    due: "array[float]"
    late: "array[int]"
    first: "array[int]"
    service: "array[int]"
    index: "array[int]"
    outcome: "array[int]"
    trace: "array[int]"


def unpack(message: Mapping[str, Any]) -> Window:
    """Read a window that came as JSON, its arrays as base64."""
    arrays: dict[str, Any] = {}
    for name, code in _ARRAYS.items():
        arrays[name] = array(code, base64.b64decode(message[name]))
    return Window(
        worker=message["worker"],
        cpu=message["cpu"],
        wall=message["wall"],
        in_flight=message["in_flight"],
        groups=tuple(Group(*group) for group in message["groups"]),
        checks=Checks(*message["checks"]),
        **arrays,
    )
