"""The run evaluated, before the server is. Pure.

A check that fails either spoils every figure (the generator was late or busy, the release
changed: ``spoils``), or leaves a good result unproven (too few requests, drift, requests that
were never sent). The first makes any verdict ``invalid``, the second only a ``pass``: a server
that missed its SLO anyway has failed.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

from harness.loadtest import histogram
from harness.loadtest.outcome import Check, Objective
from harness.loadtest.profile import Profile, RunLimits
from harness.loadtest.recording import Counts, Load, Recording
from harness.loadtest.window import Checks

_CPU_WINDOWS = 5  # of a second each: shorter ones show only how the scheduler slices
_FEWEST = 20  # correct responses in a third: with fewer, its median says nothing about drift
_CHECKED = 0.1  # of the answers: with fewer, a wrong one would hardly be seen
_Z = 2.576  # both sides of 99 %


def evaluate(
    profile: Profile, recording: Recording, slos: Sequence[Objective], release: str | None
) -> list[Check]:
    """Every check. ``release``: how the release changed during the run, or None if it did not."""
    return [
        _lateness(profile.judge, recording),
        _generator(profile.judge, recording.loads),
        _dropped_requests(profile, recording),
        *_count(profile, recording),
        _sample(profile.judge, slos),
        _steady(profile, recording),
        answers_checked(recording.checks),
        Check(
            name="release",
            passed=release is None,
            found=release or "unchanged",
            limit="unchanged",
            why="a rollout during the run mixes two servers",
            spoils=True,
        ),
    ]


def _lateness(limits: RunLimits, recording: Recording) -> Check:
    late = histogram.quantile(recording.lateness, 0.99)
    return Check(
        name="send lateness p99",
        passed=late <= limits.lateness and recording.lateness.get_total_count() > 0,
        found=f"{late:.2f} ms",
        limit=f"≤ {limits.lateness:g} ms",
        why="a generator that sends late measures its own delays",
        spoils=True,
    )


def _generator(limits: RunLimits, loads: Sequence[Load]) -> Check:
    cpu = busiest(loads)
    return Check(
        name="generator CPU",
        passed=cpu <= limits.generator_cpu,
        found=f"{cpu:.0%} of a core",
        limit=f"≤ {limits.generator_cpu:.0%}",
        why="a busy generator reads responses late; use more --processes",
        spoils=True,
    )


def busiest(loads: Sequence[Load]) -> float:
    """The busiest generator's fraction of a core over its busiest five seconds."""
    return max(_rolling(loads), default=0.0)


def _rolling(loads: Sequence[Load]) -> Iterator[float]:
    for worker in {load.worker for load in loads}:
        fractions = [load.cpu for load in loads if load.worker == worker]
        length = min(_CPU_WINDOWS, len(fractions))
        for first in range(len(fractions) - length + 1):
            yield sum(fractions[first : first + length]) / length


def _dropped_requests(profile: Profile, recording: Recording) -> Check:
    dropped = recording.total(recording.judged).dropped
    return Check(
        name="requests dropped",
        passed=dropped == 0,
        found=f"{dropped:,}",
        limit="0",
        why=f"more than maxInFlight ({profile.max_in_flight:,}) were unanswered at once",
    )


def _count(profile: Profile, recording: Recording) -> Iterator[Check]:
    """Whether users sent the number that they were given, before their time ended."""
    if profile.count is not None:
        sent = recording.total([len(recording.segments) - 1]).sent
        yield Check(
            name="number of requests",
            passed=sent >= profile.count,
            found=f"{sent:,}",
            limit=f"{profile.count:,}",
            why="the stage ended by its time before that number was sent",
        )


def _sample(limits: RunLimits, slos: Sequence[Objective]) -> Check:
    short = [slo for slo in slos if slo.met and not slo.sure]
    missing = "; ".join(
        f"{slo.metric} of {slo.of or 'all'}: {slo.requests:,} of {slo.needed:,}" for slo in short
    )
    return Check(
        name="sample size",
        passed=not short,
        found=missing or "enough for every percentile claimed",
        limit=f"confidence {limits.confidence:g}",
        why="a percentile claimed from few requests may be luck",
    )


def _steady(profile: Profile, recording: Recording) -> Check:
    drifts = list(_drifts(profile, recording))
    return Check(
        name="steady state",
        passed=not drifts,
        found="; ".join(drifts) or "no drift between the thirds of a stage",
        limit=f"ratio ≤ {profile.judge.drift:g}",
        why="results of a server that is still getting slower are soon out of date",
    )


def answers_checked(checks: Checks) -> Check:
    """Whether enough of the answers were looked at."""
    checked = checks.inside + checks.outside
    share = checked / max(1, checked + checks.unchecked)
    return Check(
        name="answers checked",
        passed=not checks.unchecked or share >= _CHECKED,
        found=f"{share:.0%}" if checks.unchecked else "all",
        limit=f"≥ {_CHECKED:.0%}",
        why="a custom check is too slow for this rate: most answers may be wrong",
    )


def _drifts(profile: Profile, recording: Recording) -> Iterator[str]:
    """What differs between the thirds of a flat stage, beyond the tolerance and beyond chance."""
    by_stage = itertools.groupby(
        (index for index in recording.judged if recording.segments[index].flat),
        key=lambda index: recording.segments[index].stage,
    )
    for stage, grouped in by_stage:
        indexes = list(grouped)
        kind = profile.stages[stage].kind
        for name in recording.names:
            thirds = [recording.counts[index, name] for index in indexes]
            if drift := _slower(thirds, profile.judge):
                yield f"{kind} {stage + 1}, {name}: median {drift}"
        if short := _behind(profile, [recording.total([index]) for index in indexes]):
            yield f"{kind} {stage + 1}: {short}"


def _slower(thirds: Sequence[Counts], limits: RunLimits) -> str | None:
    """Medians apart by more than the ratio, with their 99 % intervals, and than the lateness."""
    if any(third.response.get_total_count() < _FEWEST for third in thirds):
        return None
    low = max(_median_bound(third, -1) for third in thirds)
    high = min(_median_bound(third, +1) for third in thirds)
    if low <= high * limits.drift or low - high <= limits.lateness:
        return None
    medians = (f"{histogram.quantile(third.response, 0.5):.1f}" for third in thirds)
    return f"{' → '.join(medians)} ms"


def _median_bound(counts: Counts, side: int) -> float:
    """One end of the median's confidence interval, by order statistics (no shape assumed)."""
    fraction = 0.5 + side * _Z / 2 / math.sqrt(counts.response.get_total_count())
    return histogram.quantile(counts.response, min(1.0, max(0.0, fraction)))


def _behind(profile: Profile, thirds: Sequence[Counts]) -> str | None:
    """Correct responses per third, against what was due (open loop) or their mean (closed loop)."""
    mean = sum(third.answered for third in thirds) / len(thirds)
    for third in thirds:
        due = mean if profile.arrivals == "closed" else third.due - third.others
        apart = abs(third.answered - due)
        if apart > due * (profile.judge.drift - 1) and apart > 3 * math.sqrt(max(due, 1)):
            return f"{third.answered:,} correct responses where {due:,.0f} were due"
    return None
