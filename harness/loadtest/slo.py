"""The server evaluated: each limit of the profile against what was observed. Pure.

A percentile is taken over every request sent, a failed one counting as never answered, so no
failure can make a percentile look better.
"""

import math
from collections.abc import Iterator

from hdrh.histogram import HdrHistogram

from harness.loadtest import confidence, histogram
from harness.loadtest.histogram import empty
from harness.loadtest.outcome import Objective
from harness.loadtest.profile import Profile
from harness.loadtest.recording import Counts, Recording
from harness.loadtest.report import NamedPart, Report
from harness.slo import QUANTILES, Quantile, Slo


def evaluate(profile: Profile, recording: Recording) -> list[Objective]:
    """Every SLO over the judged stages; without one on the error rate of all, it must be 0."""
    slos = list(profile.slos)
    if not any(slo.of is None and slo.error_rate is not None for slo in slos):
        slos.append(Slo.model_validate({"errorRate": 0.0}))
    return [
        objective
        for slo in slos
        for objective in _objectives(
            slo,
            recording.total(recording.judged, [slo.of] if slo.of else None),
            recording.judged_seconds,
            profile.judge.confidence,
        )
    ]


def reevaluate(report: Report, profile: Profile) -> Iterator[Objective]:
    """Every limit of another profile, by a report: would what staging proved do for production?

    Each percentile is taken from the report's own histograms, with the confidence that the other
    profile asks for: a limit that the report was never evaluated by is applied as strictly. A name
    that the report does not have counts no request, so it meets nothing.
    """
    for slo in profile.slos:
        counts = Counts()
        for part in report.mix:
            if slo.of in (None, part.name):
                counts += _counts(part, report.judged_seconds)
        yield from _objectives(slo, counts, report.judged_seconds, profile.judge.confidence)


def _counts(part: NamedPart, seconds: float) -> Counts:
    return Counts(
        due=part.requests + part.dropped,
        dropped=part.dropped,
        failures=part.failures,
        wrong=part.wrong_answers,
        others=part.other_answers,
        answered=round(part.achieved_rps * seconds),
        response=histogram.decode(part.histogram),
        first=histogram.decode(part.first_byte_histogram) if part.first_byte_histogram else empty(),
    )


def _objectives(slo: Slo, counts: Counts, seconds: float, level: float) -> Iterator[Objective]:
    """Each limit of one SLO.

    Args:
        slo: the limits.
        counts: of the requests that it is about.
        seconds: how long they were counted.
        level: the confidence that a percentile takes.
    """
    for name, limit in slo.latency.items():
        yield _latency(slo.of, name, limit, counts, counts.response, level)
    for name, limit in slo.first_byte.items():
        first = _latency(slo.of, name, limit, counts, counts.first, level)
        yield first.model_copy(update={"metric": f"first byte {name}"})
    counted = [
        ("error_rate", slo.error_rate, "share", counts.failures / max(1, counts.sent)),
        ("throughput", slo.throughput, "1/s", counts.answered / seconds),
        ("dropped", slo.dropped, "requests", float(counts.dropped)),
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
                met=met and counts.sent > 0,
                requests=counts.sent,
            )


def _latency(
    of: str | None,
    name: Quantile,
    limit: float,
    counts: Counts,
    times: HdrHistogram,
    level: float,
) -> Objective:
    quantile = QUANTILES[name]
    observed = counts.quantile(quantile, times)
    violations = counts.judged - counts.within(limit, times)
    return Objective(
        of=of,
        metric=name,
        limit=limit,
        unit="ms",
        observed=observed if math.isfinite(observed) else None,
        met=observed <= limit,
        requests=counts.judged,
        violations=violations,
        needed=confidence.smallest_sample(violations, quantile, level),
        sure=confidence.carries(violations, counts.judged, quantile, level),
    )
