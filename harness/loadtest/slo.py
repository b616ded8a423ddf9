"""The server judged: each limit of the profile beside what was observed. Pure.

A percentile is taken over every request sent, a failed one counting as never answered, so no
failure can make a percentile look better.
"""

import math
from collections.abc import Iterator

from pydantic import BaseModel

from harness.loadtest import confidence
from harness.loadtest.profile import QUANTILES, Profile, Slo
from harness.loadtest.recording import Recording, Tally


class Objective(BaseModel):
    """One limit and how it came out.

    Attributes:
        of: a name of the mix, or None for everything that was sent.
        metric: p50 … p99.9, error_rate, throughput or dropped.
        unit: ms, share, 1/s or requests; of ``limit`` and ``observed``.
        observed: None where more requests failed than the percentile leaves room for.
        requests, violations: for a percentile: those sent, and those that failed or took longer.
        needed: requests that the claim takes with so many violations, at the confidence level.
        sure: whether there were enough; True for what is counted and not estimated.
    """

    of: str | None
    metric: str
    limit: float
    unit: str
    observed: float | None
    met: bool
    requests: int
    violations: int | None = None
    needed: int | None = None
    sure: bool = True


def judge(profile: Profile, recording: Recording) -> list[Objective]:
    """Every SLO over the judged stages; without one on the error rate of all, it must be 0."""
    slos = list(profile.slos)
    if not any(slo.of is None and slo.error_rate is not None for slo in slos):
        slos.append(Slo.model_validate({"errorRate": 0.0}))
    return [
        objective
        for slo in slos
        for objective in objectives(
            slo,
            recording.total(recording.judged, [slo.of] if slo.of else None),
            recording.judged_seconds,
            profile.judge.confidence,
        )
    ]


def objectives(slo: Slo, tally: Tally, seconds: float, level: float) -> Iterator[Objective]:
    """Each limit of one SLO.

    Args:
        slo: the limits.
        tally: what was counted of what it is about.
        seconds: how long.
        level: the confidence that a percentile takes.
    """
    for name, limit in slo.latency.items():
        yield _latency(slo.of, name, limit, QUANTILES[name], tally, level)
    counted = [
        ("error_rate", slo.error_rate, "share", tally.failures / max(1, tally.sent)),
        ("throughput", slo.throughput, "1/s", tally.answered / seconds),
        ("dropped", slo.dropped, "requests", float(tally.dropped)),
    ]
    for metric, bound, unit, observed in counted:
        if bound is not None:
            met = observed >= bound if metric == "throughput" else observed <= bound
            yield Objective(
                of=slo.of,
                metric=metric,
                limit=bound,
                unit=unit,
                observed=observed,
                met=met and tally.sent > 0,
                requests=tally.sent,
            )


def _latency(
    of: str | None, name: str, limit: float, quantile: float, tally: Tally, level: float
) -> Objective:
    observed = tally.quantile(quantile)
    violations = tally.sent - tally.within(limit)
    return Objective(
        of=of,
        metric=name,
        limit=limit,
        unit="ms",
        observed=observed if math.isfinite(observed) else None,
        met=observed <= limit,
        requests=tally.sent,
        violations=violations,
        needed=confidence.needed(violations, quantile, level),
        sure=confidence.carries(violations, tally.sent, quantile, level),
    )
