"""A recording in the words of a report. Pure."""

import math
from collections.abc import Sequence
from typing import Any

from hdrh.histogram import HdrHistogram

from harness.loadtest import histogram
from harness.loadtest.profile import Profile
from harness.loadtest.recording import Recording, Tally
from harness.loadtest.report import (
    BinPart,
    Failures,
    Latency,
    Moment,
    NamedPart,
    StagePart,
)


def of(profile: Profile, recording: Recording) -> dict[str, Any]:
    """The keys of a ``Report`` that say what was measured."""
    return {
        "seconds": profile.seconds,
        "judged_seconds": recording.judged_seconds,
        **_part(recording.total(recording.judged), recording.judged_seconds),
        "lateness_ms": spread(recording.lateness),
        "mix": _mix(profile, recording),
        "stages": _stages(profile, recording),
        "failure_groups": _failures(recording),
        "bin_seconds": recording.width,
        "timeline": _timeline(recording),
    }


def spread(values: HdrHistogram) -> Latency:
    """The percentiles of a histogram of microseconds."""
    if not values.get_total_count():
        return Latency(p50=None, p90=None, p95=None, p99=None, p99_9=None, max=None)
    return Latency(
        p50=histogram.quantile(values, 0.5),
        p90=histogram.quantile(values, 0.9),
        p95=histogram.quantile(values, 0.95),
        p99=histogram.quantile(values, 0.99),
        p99_9=histogram.quantile(values, 0.999),
        max=histogram.quantile(values, 1.0),
    )


def _part(tally: Tally, seconds: float) -> dict[str, Any]:
    return {
        "offered_rps": tally.due / seconds,
        "achieved_rps": tally.answered / seconds,
        "requests": tally.sent,
        "failures": tally.failures,
        "wrong_answers": tally.wrong,
        "dropped": tally.dropped,
        "latency_ms": _latency(tally),
        "service_ms": spread(tally.service),
    }


def _latency(tally: Tally) -> Latency:
    def within(share: float) -> float | None:
        value = tally.quantile(share)
        return value if math.isfinite(value) else None

    return Latency(
        p50=within(0.5),
        p90=within(0.9),
        p95=within(0.95),
        p99=within(0.99),
        p99_9=within(0.999),
        max=spread(tally.response).max,
    )


def _mix(profile: Profile, recording: Recording) -> list[NamedPart]:
    parts = []
    for share in profile.mix:
        tally = recording.total(recording.judged, [share.name])
        parts.append(
            NamedPart(
                name=share.name,
                model=share.model,
                histogram=histogram.encode(tally.response),
                **_part(tally, recording.judged_seconds),
            )
        )
    return parts


def _stages(profile: Profile, recording: Recording) -> list[StagePart]:
    parts = []
    start = 0.0
    for number, stage in enumerate(profile.stages):
        places = [place for place, part in enumerate(recording.segments) if part.stage == number]
        parts.append(
            StagePart(
                kind=stage.kind,
                start=start,
                seconds=stage.seconds,
                judged=stage.judged,
                **_part(recording.total(places), stage.seconds),
            )
        )
        start += stage.seconds
    return parts


def _failures(recording: Recording) -> list[Failures]:
    most_first = sorted(recording.groups.items(), key=lambda item: (-item[1], item[0].name))
    return [
        Failures(
            name=group.name,
            kind=group.kind,
            wrong_answer=group.wrong,
            count=count,
            example=group.example,
        )
        for group, count in most_first
    ]


def _timeline(recording: Recording) -> list[Moment]:
    last = max((number for number, _ in recording.bins), default=-1)
    moments = []
    for number in range(last + 1):
        start, end = number * recording.width, (number + 1) * recording.width
        names = {
            name: _bin(recording, number, name)
            for name in recording.names
            if (number, name) in recording.bins
        }
        inside = any(first <= start and end <= final for first, final in recording.spans)
        moments.append(Moment(t=start, judged=inside, names=names))
    return moments


def _bin(recording: Recording, number: int, name: str) -> BinPart:
    seen = recording.bins[number, name]
    values = histogram.empty()
    for value in seen.responses:
        histogram.record(values, value)
    ordered = sorted(seen.responses)
    return BinPart(
        due=seen.due,
        answered=seen.answered,
        failures=seen.failures,
        dropped=seen.dropped,
        p50=_nth(ordered, 0.5),
        p99=_nth(ordered, 0.99),
        max=_nth(ordered, 1.0),
        histogram=histogram.encode(values) if ordered else None,
    )


def _nth(ordered: Sequence[int], share: float) -> float | None:
    """The quantile of few values, in milliseconds: the smallest that enough of them reach."""
    return ordered[math.ceil(share * len(ordered)) - 1] / 1000 if ordered else None
