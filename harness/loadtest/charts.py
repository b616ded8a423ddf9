"""The plots of a report: which figures, on which axes."""

import math
from collections.abc import Callable, Iterator, Sequence

from harness.loadtest import histogram
from harness.loadtest.outcome import Objective
from harness.loadtest.plot import (
    Axis,
    Band,
    Line,
    Mark,
    Plot,
    linear,
    logarithmic,
    time_axis,
)
from harness.loadtest.report import Moment, NamedPart, Report
from harness.loadtest.scrape import ModelPoint, Point
from harness.slo import QUANTILES

_TONES = 6  # colors in the style sheet
_OF_ALL = "soft"  # the color of limits that hold for all models together
_FRACTIONS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)  # of requests, on the percentile curve


def number(value: float) -> str:
    """A number as an axis or a table shows it: three digits, no trailing zeros."""
    if value >= 10_000 and value % 1000 == 0:
        return f"{value / 1000:,.0f}k"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def charts(report: Report) -> Iterator[Plot]:
    """Every plot that the report has figures for."""
    over_time = _OverTime(report)
    yield over_time.latency()
    yield over_time.rate()
    yield _percentiles(report)
    if len(report.mix) > 1:
        yield over_time.throughput()
    if report.server and report.server.timeline:
        yield from over_time.server(report.server.timeline)


class _OverTime:
    """Plots that share the schedule as their x axis."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._tones = {part.name: f"s{index % _TONES}" for index, part in enumerate(report.mix)}
        self._x = time_axis(report.seconds)
        self._bands = [
            Band(stage.start, stage.start + stage.seconds, stage.kind, not stage.judged)
            for stage in report.stages
        ]
        self._moments = [moment for moment in report.timeline if moment.t < report.seconds]

    def latency(self) -> Plot:
        """Each name's median, and the p99 of its bins."""
        drawn = (
            Line(f"{name} {which}", self._bins(name, which), tone, dashed=which == "p99")
            for name, tone in self._tones.items()
            for which in ("p50", "p99")
        )
        lines = [line for line in drawn if any(y is not None for _, y in line.points)]
        values = [y for line in lines for _, y in line.points if y]
        axis = logarithmic(min(values, default=1), max(values, default=10), number)
        return self._plot("Latency", "ms from the moment due, log scale", lines, axis)

    def rate(self) -> Plot:
        """Offered, answered correctly, and failed, per second."""
        width = self._report.bin_seconds
        counts: dict[str, Callable[[Moment], int]] = {
            "offered": lambda moment: sum(part.due for part in moment.names.values()),
            "correct responses": lambda moment: sum(
                part.answered for part in moment.names.values()
            ),
            "failed or dropped": lambda moment: sum(
                part.failures + part.dropped for part in moment.names.values()
            ),
        }
        looks = {"offered": ("s5", True), "correct responses": ("s0", False)}
        lines = []
        for name, count in counts.items():
            points = [(m.t + width / 2, count(m) / width) for m in self._moments]
            tone, dashed = looks.get(name, ("sf", False))
            if name in looks or any(y for _, y in points):
                lines.append(Line(name, points, tone, dashed=dashed, filled=not dashed))
        high = max((y or 0 for line in lines for _, y in line.points), default=1)
        return self._plot("Offered and achieved", "requests/s", lines, linear(high, number))

    def throughput(self) -> Plot:
        """Correct responses per second of each name."""
        width = self._report.bin_seconds
        lines = [
            Line(
                name,
                [
                    (m.t + width / 2, m.names[name].answered / width if name in m.names else 0.0)
                    for m in self._moments
                ],
                tone,
                filled=True,
            )
            for name, tone in self._tones.items()
        ]
        high = max((y or 0 for line in lines for _, y in line.points), default=1)
        return self._plot(
            "Throughput per model", "correct responses/s", lines, linear(high, number)
        )

    def server(self, timeline: Sequence[Point]) -> Iterator[Plot]:
        """What the server reports of itself."""
        figures: list[tuple[str, str, Callable[[ModelPoint], float | None]]] = [
            ("Queue time", "ms, mean, by the server's counters", lambda p: p.queue_ms),
            ("Queue depth", "requests waiting", lambda p: p.queue_depth),
            ("Inference time", "ms, mean, by the server's counters", lambda p: p.inference_ms),
            ("Batch fill", "requests per batch", lambda p: p.batch_fill),
            ("Workers' memory", "MiB of all workers", lambda p: p.worker_memory),
        ]
        inside = [point for point in timeline if 0 <= point.t <= self._report.seconds]
        for title, unit, figure in figures:
            drawn = self._models(inside, figure)
            lines = [line for line in drawn if any(y is not None for _, y in line.points)]
            if lines:
                high = max(y or 0 for line in lines for _, y in line.points)
                yield self._plot(title, unit, lines, linear(high, number))
        if any(point.gpu_util is not None for point in inside):
            line = Line("GPU", [(p.t, p.gpu_util) for p in inside], "s2", filled=True)
            yield self._plot("GPU utilization", "%", [line], linear(100, number))
        if any(point.gpu_memory is not None for point in inside):
            line = Line("memory", [(p.t, p.gpu_memory) for p in inside], "s3", filled=True)
            high = max(p.gpu_memory or 0 for p in inside)
            yield self._plot("GPU memory", "MiB", [line], linear(high, number))

    def _models(
        self, timeline: Sequence[Point], figure: Callable[[ModelPoint], float | None]
    ) -> Iterator[Line]:
        for part in self._report.mix:
            if part.model:
                points = [
                    (p.t, figure(p.models[part.model]) if part.model in p.models else None)
                    for p in timeline
                ]
                yield Line(part.name, points, self._tones[part.name])

    def _bins(self, name: str, which: str) -> list[tuple[float, float | None]]:
        middle = self._report.bin_seconds / 2
        return [
            (m.t + middle, getattr(m.names[name], which) if name in m.names else None)
            for m in self._moments
        ]

    def _plot(self, title: str, unit: str, lines: Sequence[Line], y: Axis) -> Plot:
        return Plot(title, unit, lines, self._x, y, self._bands, hover=_hover(lines))


def _hover(lines: Sequence[Line]) -> list[tuple[float, float, str]]:
    """A stretch around each point of the x axis, with every line's value at it."""
    xs = sorted({x for line in lines for x, _ in line.points})
    values_at = [dict(line.points) for line in lines]
    half = (xs[-1] - xs[0]) / max(1, len(xs) - 1) / 2 if xs else 0.0
    stretches = []
    for x in xs:
        values = [
            f"{line.name}: {number(y)}"
            for line, points in zip(lines, values_at, strict=True)
            if (y := points.get(x)) is not None
        ]
        stretches.append((x - half, x + half, "\n".join([f"{x:.0f} s", *values])))
    return stretches


def _marks(slo: Objective, tone: str) -> Iterator[Mark]:
    if slo.metric in QUANTILES:
        text = f"{slo.of or 'all'}: {slo.metric} ≤ {number(slo.limit)} ms"
        yield Mark(_nines(QUANTILES[slo.metric]), slo.limit, tone, text)


def _percentiles(report: Report) -> Plot:
    """The HDR percentile curve: each further nine of the requests has the same width."""
    lines: list[Line] = []
    marks: list[Mark] = []
    for index, part in enumerate(report.mix):
        tone = f"s{index % _TONES}"
        lines.append(Line(part.name, list(_curve(part)), tone))
        for slo in report.slo:
            if slo.of == part.name:
                marks += _marks(slo, tone)
    for slo in report.slo:
        if slo.of is None:
            marks += _marks(slo, _OF_ALL)
    values = [y for line in lines for _, y in line.points if y] + [mark.y for mark in marks]
    far = max([2.0, *(x for line in lines for x, _ in line.points), *(mark.x for mark in marks)])
    ticks = [
        (_nines(fraction), f"{fraction * 100:.6g} %")
        for fraction in _FRACTIONS
        if _nines(fraction) <= far
    ]
    return Plot(
        "Latency by percentile",
        "ms, log scale; the bars are the SLOs (gray: of all)",
        lines,
        Axis(0, far, ticks),
        logarithmic(min(values, default=1), max(values, default=10), number),
        marks=marks,
    )


def _nines(fraction: float) -> float:
    return -math.log10(1 - fraction) if fraction else 0.0


def _curve(part: NamedPart) -> Iterator[tuple[float, float]]:
    """(nines, ms) of a histogram, at most a hundred points per nine."""
    values = histogram.decode(part.histogram)
    total = values.get_total_count()
    below, last = 0, -1.0
    for value, count in histogram.recorded_values(values):
        x = _nines(below / total)
        if x >= last + 0.01:
            last = x
            yield x, value
        below += count
    if total:
        yield max(_nines(1 - 1 / total), 0.1), values.get_max_value() / 1000
