"""When each request is due, on an absolute schedule that no response can shift. Pure.

The rate over time is a chain of straight pieces, so the number of requests due by a time t,
L(t), is piecewise quadratic and can be inverted exactly. A constant stream is due where L(t)
reaches 1, 2, 3 …; a Poisson stream where it reaches the sums of unit exponentials (the
time-change theorem). Generator i of n takes every n-th point of the constant stream, offset by
i, or the sums of exponentials of mean n: the streams of all add up to the whole one.
"""

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Piece:
    """A straight piece of the rate: from ``start`` on, ``seconds`` long, 1/s at both ends."""

    start: float
    seconds: float
    first: float
    last: float

    @property
    def expected(self) -> float:
        """Requests due within the piece."""
        return self.seconds * (self.first + self.last) / 2

    def when(self, count: float) -> float:
        """The time at which ``count`` (from 0 to ``expected``) requests of this piece are due."""
        slope = (self.last - self.first) / self.seconds
        # first·t + slope·t²/2 = count, in the form that stays exact as the slope goes to 0
        root = math.sqrt(max(0.0, self.first * self.first + 2 * slope * count))
        return self.start + 2 * count / (self.first + root) if count else self.start

    def level(self, time: float) -> float:
        """The rate at ``time``."""
        return self.first + (self.last - self.first) * (time - self.start) / self.seconds


def chain(levels: Iterable[tuple[float, float, float]]) -> list[Piece]:
    """Put (seconds, level at the start, level at the end) one after the other from time 0."""
    pieces: list[Piece] = []
    start = 0.0
    for seconds, first, last in levels:
        pieces.append(Piece(start, seconds, first, last))
        start += seconds
    return pieces


def due_times(
    pieces: Iterable[Piece],
    kind: Literal["constant", "poisson"],
    *,
    seed: int = 0,
    worker: int = 0,
    workers: int = 1,
) -> Iterator[float]:
    """The seconds at which generator ``worker`` of ``workers`` sends, in order."""
    counts = _counts(kind, seed=seed, worker=worker, workers=workers)
    count = next(counts)
    before = 0.0
    for piece in pieces:
        until = before + piece.expected
        while count < until:
            yield piece.when(count - before)
            count = next(counts)
        before = until


def level(pieces: Iterable[Piece], time: float) -> float:
    """The level at ``time``, 0 after the last piece."""
    for piece in pieces:
        if piece.start <= time < piece.start + piece.seconds:
            return piece.level(time)
    return 0.0


def share(count: int, users: int, worker: int, workers: int) -> int:
    """A generator's part of a number of requests: by how many of the users it has.

    Generator i of n has the users i, i + n, i + 2n, …; the parts of all add up to ``count``.
    """
    having = [len(range(each, users, workers)) for each in range(worker + 1)]
    return count * sum(having) // users - count * sum(having[:-1]) // users


def _counts(kind: str, *, seed: int, worker: int, workers: int) -> Iterator[float]:
    """Where L(t) has to arrive for each request."""
    if kind == "constant":
        # In the middle of its slot: no request falls on the seam of two stages.
        count = worker + 0.5
        while True:
            yield count
            count += workers
    draw = random.Random(f"{seed}/{worker}")  # noqa: S311 - arrivals, not secrets
    count = 0.0
    while True:
        count += draw.expovariate(1 / workers)
        yield count
