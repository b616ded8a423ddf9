"""What a recording measured, in the words of a report. Pure."""

import math
from collections.abc import Sequence
from typing import TypedDict

from hdrh.histogram import HdrHistogram

from harness.loadtest import advice, histogram, tracing
from harness.loadtest.outcome import SlowRequest
from harness.loadtest.profile import Profile
from harness.loadtest.recording import Counts, Recording
from harness.loadtest.report import (
    BinPart,
    Failures,
    Latency,
    Measured,
    Moment,
    NamedPart,
    Part,
    StagePart,
)


class _Figures(TypedDict):
    """The fields of a ``Part``, for those that have more."""

    offered_rps: float
    achieved_rps: float
    requests: int
    failures: int
    wrong_answers: int
    dropped: int
    other_answers: int
    latency_ms: Latency
    first_byte_ms: Latency
    service_ms: Latency


def measure(profile: Profile, recording: Recording, run: str) -> Measured:
    """Everything that was measured; ``run`` is the plan's."""
    return Measured(
        seconds=profile.seconds,
        judged_seconds=recording.judged_seconds,
        total=Part(**_figures(recording.total(recording.judged), recording.judged_seconds)),
        lateness_ms=percentiles(recording.lateness),
        mix=_mix(profile, recording),
        stages=_stages(profile, recording),
        failure_groups=_failures(recording),
        slowest=_slowest(recording, run),
        bin_seconds=recording.width,
        timeline=_timeline(recording),
    )


def percentiles(values: HdrHistogram) -> Latency:
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


def _figures(counts: Counts, seconds: float) -> _Figures:
    return {
        "offered_rps": counts.due / seconds,
        "achieved_rps": counts.answered / seconds,
        "requests": counts.sent,
        "failures": counts.failures,
        "wrong_answers": counts.wrong,
        "dropped": counts.dropped,
        "other_answers": counts.others,
        "latency_ms": _latency(counts, counts.response),
        "first_byte_ms": _latency(counts, counts.first),
        "service_ms": percentiles(counts.service),
    }


def _latency(counts: Counts, times: HdrHistogram) -> Latency:
    def within(fraction: float) -> float | None:
        value = counts.quantile(fraction, times)
        return value if math.isfinite(value) else None

    return Latency(
        p50=within(0.5),
        p90=within(0.9),
        p95=within(0.95),
        p99=within(0.99),
        p99_9=within(0.999),
        max=percentiles(times).max,
    )


def _mix(profile: Profile, recording: Recording) -> list[NamedPart]:
    parts = []
    for entry in profile.mix:
        counts = recording.total(recording.judged, [entry.name])
        parts.append(
            NamedPart(
                name=entry.name,
                model=entry.model or entry.model_name,
                group=recording.serving[entry.name],
                histogram=histogram.encode(counts.response),
                first_byte_histogram=histogram.encode(counts.first),
                answers=recording.origins[entry.name],
                **_figures(counts, recording.judged_seconds),
            )
        )
    return parts


def _stages(profile: Profile, recording: Recording) -> list[StagePart]:
    parts = []
    start = 0.0
    for number, stage in enumerate(profile.stages):
        indexes = [
            index for index, segment in enumerate(recording.segments) if segment.stage == number
        ]
        parts.append(
            StagePart(
                kind=stage.kind,
                start=start,
                seconds=stage.seconds,
                judged=stage.judged,
                **_figures(recording.total(indexes), stage.seconds),
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
            expected=group.expected,
            advice="" if group.expected else advice.advice(group.kind, group.example),
        )
        for group, count in most_first
    ]


def _slowest(recording: Recording, run: str) -> list[SlowRequest]:
    return [
        SlowRequest(
            name=each.name,
            t=each.due,
            latency_ms=each.response / 1000,
            trace_id=tracing.trace_id(run, each.trace),
        )
        for each in sorted(recording.slowest, reverse=True)
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
    plot_bin = recording.bins[number, name]
    values = histogram.empty()
    for value in plot_bin.responses:
        histogram.record(values, value)
    ordered = sorted(plot_bin.responses)
    return BinPart(
        due=plot_bin.due,
        answered=plot_bin.answered,
        failures=plot_bin.failures,
        dropped=plot_bin.dropped,
        p50=_nth(ordered, 0.5),
        p99=_nth(ordered, 0.99),
        max=_nth(ordered, 1.0),
        histogram=histogram.encode(values) if ordered else None,
    )


def _nth(ordered: Sequence[int], fraction: float) -> float | None:
    """The quantile of few values, in milliseconds: the smallest that enough of them reach."""
    return ordered[math.ceil(fraction * len(ordered)) - 1] / 1000 if ordered else None
