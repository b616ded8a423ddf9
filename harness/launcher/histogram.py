"""A distribution of times, as Prometheus' classic histogram has it."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds in seconds: from a small model's answer to TorchServe's default timeout."""


class Histogram:
    """How many times were within each bound; those of several workers can be added up."""

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        """``bounds`` are upper bounds in seconds, in their order."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0  # seconds

    @classmethod
    def total(cls, parts: Iterable["Histogram"]) -> "Histogram":
        """All of them together; they have the same bounds."""
        parts = list(parts)
        total = cls(parts[0].bounds) if parts else cls()
        counts = zip(total.counts, *(part.counts for part in parts), strict=True)
        total.counts = [sum(each) for each in counts]
        total.sum = sum(part.sum for part in parts)
        return total

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def samples(self, name: str, labels: str) -> Iterator[tuple[str, float]]:
        """Its lines: buckets that include those below them, sum and count.

        Args:
            name: of the metric, without a suffix.
            labels: ``key="value"`` pairs, joined by commas.
        """
        total = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            total += count
            yield f'{name}_bucket{{{labels},le="{bound}"}}', total
        yield f"{name}_sum{{{labels}}}", self.sum
        yield f"{name}_count{{{labels}}}", total
