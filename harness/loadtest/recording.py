"""What was measured, window by window: HDR histograms for the SLOs, bins for the plots.

The schedule is cut into segments: each stage is one, and a judged flat stage three, so that
its beginning can be compared with its end. A request counts in the segment that it was due in.
"""

import dataclasses
import heapq
import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from hdrh.histogram import HdrHistogram

from harness.loadtest import histogram
from harness.loadtest.plan import Plan
from harness.loadtest.profile import Hold, Profile, Soak
from harness.loadtest.window import CORRECT, DROPPED, FIRST_GROUP, Checks, Group, Window

_BINS = 240  # points in a plot: more than a screen can tell apart
_THIRDS = 3
_SLOWEST = 10  # requests whose traces the report names


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a stage: from ``start`` to ``end`` seconds, the ``stage``-th of the profile."""

    stage: int
    start: float
    end: float
    judged: bool
    flat: bool


@dataclass(slots=True)
class Counts:
    """What was counted for one name of the mix in one segment, or for several together.

    Attributes:
        due: requests of the schedule, dropped ones included.
        others: answers of another status that the profile expects: no failures, no correct answers.
        answered: correct responses that arrived within the segment, whenever they were due.
        response, first, service: microseconds of the correct responses, ``first`` of their first
            bytes; see ``generator.dispatcher``.
    """

    due: int = 0
    dropped: int = 0
    failures: int = 0
    wrong: int = 0
    others: int = 0
    answered: int = 0
    response: HdrHistogram = field(default_factory=histogram.empty)
    first: HdrHistogram = field(default_factory=histogram.empty)
    service: HdrHistogram = field(default_factory=histogram.empty)

    def __iadd__(self, other: "Counts") -> Self:
        self.due += other.due
        self.dropped += other.dropped
        self.failures += other.failures
        self.wrong += other.wrong
        self.others += other.others
        self.answered += other.answered
        self.response.add(other.response)
        self.first.add(other.first)
        self.service.add(other.service)
        return self

    @property
    def sent(self) -> int:
        """Requests that left."""
        return self.due - self.dropped

    @property
    def judged(self) -> int:
        """Requests that a percentile is taken over: those with an expected other answer are not."""
        return self.sent - self.others

    def within(self, milliseconds: float, times: HdrHistogram | None = None) -> int:
        """Correct responses that took no longer than this, by ``response`` or ``first``."""
        times = self.response if times is None else times
        limit = milliseconds * (1 + 10**-histogram.DIGITS)
        return sum(count for taken, count in histogram.recorded_values(times) if taken <= limit)

    def quantile(self, fraction: float, times: HdrHistogram | None = None) -> float:
        """Milliseconds within which a ``fraction`` of all sent requests had a correct response.

        Infinite if more than the rest failed: a failed request counts as never answered.
        """
        times = self.response if times is None else times
        rank = math.ceil(fraction * self.judged)
        correct = times.get_total_count()
        if not correct or rank > correct:
            return math.inf
        return histogram.quantile(times, rank / correct)


@dataclass(slots=True)
class Bin:
    """What a plot shows of a stretch of time, for one name.

    ``responses`` holds the microseconds of the correct responses to what was due in it;
    ``answered`` counts the correct responses that arrived in it.
    """

    due: int = 0
    answered: int = 0
    failures: int = 0
    dropped: int = 0
    responses: "array[int]" = field(default_factory=lambda: array("Q"))


@dataclass(slots=True)
class Load:
    """A generator process over one of its windows: fraction of a core, requests in flight."""

    time: float
    worker: int
    cpu: float
    in_flight: int


@dataclass(frozen=True, slots=True, order=True)
class Slow:
    """A request that asked to be traced: its response in µs, when it was due, its name and trace.

    Attributes:
        trace: the number in the trace's id.
    """

    response: int
    due: float
    name: str
    trace: int


class Recording:
    """Everything measured so far.

    Attributes:
        names: of the mix, in the profile's order.
        width: seconds that a bin covers.
        slowest: traced requests, as a heap; failed ones too.
    """

    def __init__(self, profile: Profile, plan: Plan) -> None:
        self.segments = _segments(profile)
        self.names = [entry.name for entry in profile.mix]
        self.counts = {
            (index, name): Counts() for index in range(len(self.segments)) for name in self.names
        }
        self.lateness = histogram.empty()
        self._counted = profile.count is not None
        self.width = 1.0 if self._counted else max(1.0, math.ceil(profile.seconds / _BINS))
        self.bins: dict[tuple[int, str], Bin] = {}
        self.loads: list[Load] = []
        self.checks = Checks()
        self.groups: dict[Group, int] = {}
        self.slowest: list[Slow] = []
        self.origins = {
            name: sorted({each.origin for each in plan.requests if each.name == name})
            for name in self.names
        }
        # The group of each name, where it is known: all its requests have one path.
        self.serving = {request.name: request.group for request in plan.requests}
        self._of_request = [request.name for request in plan.requests]
        self._of_worker: dict[int, list[Group]] = {}
        self._ends = [segment.end for segment in self.segments]
        self._elapsed: dict[int, float] = {}
        self._last = 0.0

    def add(self, window: Window) -> None:
        """Count a window."""
        groups = self._of_worker.setdefault(window.worker, [])
        groups.extend(window.groups)
        elapsed = self._elapsed.get(window.worker, 0.0) + window.wall
        self._elapsed[window.worker] = elapsed
        cpu = window.cpu / window.wall if window.wall else 0.0
        self.checks += window.checks
        self.loads.append(Load(elapsed, window.worker, cpu, window.in_flight))
        for due, late, first, service, index, outcome, trace in zip(
            window.due,
            window.late,
            window.first,
            window.service,
            window.index,
            window.outcome,
            window.trace,
            strict=True,
        ):
            name = self._of_request[index]
            group = groups[outcome - FIRST_GROUP] if outcome >= FIRST_GROUP else None
            self._last = max(self._last, due + (late + service) / 1e6)
            self._count(name, due, late, (first, service), outcome, group)
            if trace:
                self._keep_slowest(Slow(late + service, due, name, trace))

    def finish(self) -> float:
        """End a stage that a number ended at its last answer; return the end of the schedule."""
        last = self.segments[-1]
        if self._counted and last.start < self._last < last.end:
            self.segments[-1] = dataclasses.replace(last, end=self._last)
        return self.segments[-1].end

    def _count(
        self,
        name: str,
        due: float,
        late: int,
        taken: tuple[int, int],
        outcome: int,
        group: Group | None,
    ) -> None:
        index = self._segment(due)
        counts, plot_bin = self.counts[index, name], self._bin(due, name)
        counts.due += 1
        plot_bin.due += 1
        if outcome == DROPPED:
            counts.dropped += 1
            plot_bin.dropped += 1
            return
        if self.segments[index].judged:
            histogram.record(self.lateness, late)
        if outcome == CORRECT:
            first, service = taken
            response = late + service
            histogram.record(counts.response, response)
            histogram.record(counts.first, late + first)
            histogram.record(counts.service, service)
            plot_bin.responses.append(response)
            arrived = due + response / 1e6
            self._bin(arrived, name).answered += 1
            if arrived < self._ends[-1]:
                self.counts[self._segment(arrived), name].answered += 1
        elif group:
            self.groups[group] = self.groups.get(group, 0) + 1
            counts.others += group.expected
            if not group.expected:
                counts.failures += 1
                counts.wrong += group.wrong
                plot_bin.failures += 1

    def _keep_slowest(self, request: Slow) -> None:
        if len(self.slowest) < _SLOWEST:
            heapq.heappush(self.slowest, request)
        else:
            heapq.heappushpop(self.slowest, request)

    def _segment(self, time: float) -> int:
        return next(
            (index for index, end in enumerate(self._ends) if time < end), len(self._ends) - 1
        )

    def _bin(self, time: float, name: str) -> Bin:
        key = int(time / self.width), name
        if key not in self.bins:
            self.bins[key] = Bin()
        return self.bins[key]

    def total(self, segments: Iterable[int], names: Sequence[str] | None = None) -> Counts:
        """Several segments and names together."""
        total = Counts()
        for index in segments:
            for name in names or self.names:
                total += self.counts[index, name]
        return total

    @property
    def judged(self) -> list[int]:
        """The indexes of the segments that the SLOs are judged on."""
        return [index for index, segment in enumerate(self.segments) if segment.judged]

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Their beginnings and ends."""
        return [(segment.start, segment.end) for segment in self.segments if segment.judged]

    @property
    def judged_seconds(self) -> float:
        """How long they last together."""
        return sum(end - start for start, end in self.spans)


def _segments(profile: Profile) -> list[Segment]:
    segments: list[Segment] = []
    start = 0.0
    for number, stage in enumerate(profile.stages):
        counted = profile.count is not None and stage is profile.stages[-1]
        flat = isinstance(stage, Hold | Soak) and not counted
        parts = _THIRDS if flat and stage.judged else 1
        length = stage.seconds / parts
        segments += [
            Segment(number, start + part * length, start + (part + 1) * length, stage.judged, flat)
            for part in range(parts)
        ]
        start += stage.seconds
    return segments
