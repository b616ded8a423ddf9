"""The run judged, before it judges the server. Pure.

A check that fails either spoils every figure (the generator was late or busy, the release
changed: ``spoils``), or leaves a good result unproven (too few requests, drift, requests that
were never sent). The first makes any verdict ``invalid``, the second only a ``pass``: a server
that missed its SLO anyway has failed.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from harness.loadtest import histogram
from harness.loadtest.profile import Judge, Profile
from harness.loadtest.recording import Load, Recording, Tally
from harness.loadtest.slo import Objective

_CPU_WINDOWS = 5  # of a second each: shorter ones show only how the scheduler slices
_FEWEST = 20  # right answers in a third: with fewer, its median says nothing about drift
_Z = 2.576  # both sides of 99 %


class Check(BaseModel):
    """One question the run asks of itself. ``found`` and ``limit`` are for reading."""

    name: str
    passed: bool
    found: str
    limit: str
    why: str
    spoils: bool = False


def judge(
    profile: Profile, recording: Recording, slos: Sequence[Objective], release: str | None
) -> list[Check]:
    """Every check. ``release`` says how the release changed during the run, or None."""
    return [
        _lateness(profile.judge, recording),
        _generator(profile.judge, recording.loads),
        _dropped(profile, recording),
        _sample(profile.judge, slos),
        _steady(profile, recording),
        Check(
            name="release",
            passed=release is None,
            found=release or "unchanged",
            limit="unchanged",
            why="a roll-out during the run mixes two servers",
            spoils=True,
        ),
    ]


def _lateness(judge: Judge, recording: Recording) -> Check:
    late = histogram.quantile(recording.lateness, 0.99)
    return Check(
        name="send lateness p99",
        passed=late <= judge.lateness and recording.lateness.get_total_count() > 0,
        found=f"{late:.2f} ms",
        limit=f"≤ {judge.lateness:g} ms",
        why="a generator that sends late measures itself",
        spoils=True,
    )


def _generator(judge: Judge, loads: Sequence[Load]) -> Check:
    share = busiest(loads)
    return Check(
        name="generator CPU",
        passed=share <= judge.generator_cpu,
        found=f"{share:.0%} of a core",
        limit=f"≤ {judge.generator_cpu:.0%}",
        why="a busy generator reads the answers late (use --processes)",
        spoils=True,
    )


def busiest(loads: Sequence[Load]) -> float:
    """The busiest generator's share of a core over its busiest five seconds."""
    return max(_rolling(loads), default=0.0)


def _rolling(loads: Sequence[Load]) -> Iterator[float]:
    for worker in {load.worker for load in loads}:
        shares = [load.cpu for load in loads if load.worker == worker]
        length = min(_CPU_WINDOWS, len(shares))
        for first in range(len(shares) - length + 1):
            yield sum(shares[first : first + length]) / length


def _dropped(profile: Profile, recording: Recording) -> Check:
    dropped = recording.total(recording.judged).dropped
    return Check(
        name="requests dropped",
        passed=dropped == 0,
        found=f"{dropped:,}",
        limit="0",
        why=f"more than maxInFlight ({profile.max_in_flight:,}) were unanswered at once",
    )


def _sample(judge: Judge, slos: Sequence[Objective]) -> Check:
    short = [slo for slo in slos if slo.met and not slo.sure]
    found = "; ".join(
        f"{slo.metric} of {slo.of or 'all'}: {slo.requests:,} of {slo.needed:,}" for slo in short
    )
    return Check(
        name="sample size",
        passed=not short,
        found=found or "enough for every percentile claimed",
        limit=f"confidence {judge.confidence:g}",
        why="a percentile claimed from few requests may be luck",
    )


def _steady(profile: Profile, recording: Recording) -> Check:
    drifts = list(_drifts(profile, recording))
    return Check(
        name="steady state",
        passed=not drifts,
        found="; ".join(drifts) or "no drift between the thirds of a stage",
        limit=f"ratio ≤ {profile.judge.drift:g}",
        why="figures of a server that is still getting slower are out of date when printed",
    )


def _drifts(profile: Profile, recording: Recording) -> Iterator[str]:
    """What differs between the thirds of a flat stage, beyond the tolerance and beyond chance."""
    by_stage = itertools.groupby(
        (place for place in recording.judged if recording.segments[place].flat),
        key=lambda place: recording.segments[place].stage,
    )
    for stage, grouped in by_stage:
        places = list(grouped)
        kind = profile.stages[stage].kind
        for name in recording.names:
            thirds = [recording.tallies[place, name] for place in places]
            if drift := _slower(thirds, profile.judge):
                yield f"{kind} {stage + 1}, {name}: median {drift}"
        if short := _behind(profile, [recording.total([place]) for place in places]):
            yield f"{kind} {stage + 1}: {short}"


def _slower(thirds: Sequence[Tally], judge: Judge) -> str | None:
    """Medians apart by more than the ratio, with their 99 % intervals, and than the lateness."""
    if any(third.response.get_total_count() < _FEWEST for third in thirds):
        return None
    low = max(_median_bound(third, -1) for third in thirds)
    high = min(_median_bound(third, +1) for third in thirds)
    if low <= high * judge.drift or low - high <= judge.lateness:
        return None
    medians = (f"{histogram.quantile(third.response, 0.5):.1f}" for third in thirds)
    return f"{' → '.join(medians)} ms"


def _median_bound(tally: Tally, side: int) -> float:
    """One end of the median's confidence interval, by order statistics (no shape assumed)."""
    share = 0.5 + side * _Z / 2 / math.sqrt(tally.response.get_total_count())
    return histogram.quantile(tally.response, min(1.0, max(0.0, share)))


def _behind(profile: Profile, thirds: Sequence[Tally]) -> str | None:
    """Right answers per third, against what was due (open loop) or their mean (closed loop)."""
    mean = sum(third.answered for third in thirds) / len(thirds)
    for third in thirds:
        due = mean if profile.arrivals == "closed" else third.due
        apart = abs(third.answered - due)
        if apart > due * (profile.judge.drift - 1) and apart > 3 * math.sqrt(max(due, 1)):
            return f"{third.answered:,} right answers where {due:,.0f} were due"
    return None
