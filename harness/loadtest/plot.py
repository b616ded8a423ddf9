"""Line plots as inline SVG: no script, colors from the page's style sheet, read by hovering.

Pure functions from numbers to text. A plot is 480 units wide, so that its 12-unit letters can
still be read on a phone, and as tall as ``HEIGHT``.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 480.0, 236.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 10.0, 18.0, 30.0
_TICKS = 5

Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Axis:
    """From ``low`` to ``high``; ``ticks`` are (value, label)."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False

    def fraction(self, value: float) -> float:
        """Where a value lies, from 0 to 1; values beyond the axis lie on its end."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Line:
    """A series; a point of None is a gap. ``tone`` is a class of the style sheet: s0 … s5."""

    name: str
    points: Points
    tone: str
    dashed: bool = False
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of the x axis with a name; the one that is not judged is shaded."""

    start: float
    end: float
    label: str
    shaded: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """A limit at a point: a short bar across the plot's line."""

    x: float
    y: float
    tone: str
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure with its title, its legend and what it shows in one line of text."""

    title: str
    unit: str
    lines: Sequence[Line]
    x: Axis
    y: Axis
    bands: Sequence[Band] = ()
    marks: Sequence[Mark] = ()
    hover: Sequence[tuple[float, float, str]] = ()

    def figure(self) -> str:
        """The plot as an HTML figure."""
        legend = "".join(
            f'<span class="key {line.tone}{" dashed" if line.dashed else ""}">'
            f"{escape(line.name)}</span>"
            for line in self.lines
        )
        return (
            f"<figure><figcaption><b>{escape(self.title)}</b> <i>{escape(self.unit)}</i>"
            f'<span class="legend">{legend}</span></figcaption>'
            f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(self.title)}">'
            f"{''.join(self.parts())}</svg></figure>"
        )

    def parts(self) -> Iterator[str]:
        """The elements of the drawing, for an SVG of ``WIDTH`` by ``HEIGHT``."""
        yield from (self._band(band) for band in self.bands)
        yield from self._grid()
        yield from (self._area(line) for line in self.lines if line.filled)
        yield from (self._line(line) for line in self.lines)
        yield from (self._mark(mark) for mark in self.marks)
        yield from (self._hover(*area) for area in self.hover)

    def _x(self, value: float) -> float:
        return _LEFT + self.x.fraction(value) * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - self.y.fraction(value) * (HEIGHT - _BOTTOM - _TOP)

    def _band(self, band: Band) -> str:
        left, right = self._x(band.start), self._x(band.end)
        shade = (
            f'<rect class="band" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}"'
            f' height="{HEIGHT - _TOP - _BOTTOM:.1f}"/>'
            if band.shaded
            else ""
        )
        fits = right - left > 5.5 * len(band.label)
        label = f'<text class="stage" x="{(left + right) / 2:.1f}" y="{_TOP - 5}">' if fits else ""
        edge = f'<path class="edge" d="M{right:.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>'
        return shade + (f"{label}{escape(band.label)}</text>" if fits else "") + edge

    def _grid(self) -> Iterator[str]:
        for value, label in self.y.ticks:
            y = self._y(value)
            yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>'
            yield f'<text class="y" x="{_LEFT - 6}" y="{y + 4:.1f}">{escape(label)}</text>'
        for value, label in self.x.ticks:
            x = self._x(value)
            yield f'<path class="tick" d="M{x:.1f} {HEIGHT - _BOTTOM}v4"/>'
            yield f'<text class="x" x="{x:.1f}" y="{HEIGHT - _BOTTOM + 18}">{escape(label)}</text>'

    def _runs(self, line: Line) -> Iterator[list[tuple[float, float]]]:
        """The stretches without a gap, as coordinates."""
        run: list[tuple[float, float]] = []
        for x, y in line.points:
            if y is None:
                yield run
                run = []
            else:
                run.append((self._x(x), self._y(y)))
        yield run

    def _line(self, line: Line) -> str:
        runs = [run for run in self._runs(line) if run]
        path = "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in run) for run in runs)
        # A point between two gaps has no length, and would not be seen.
        dots = "".join(
            f'<circle class="dot {line.tone}" cx="{run[0][0]:.1f}" cy="{run[0][1]:.1f}" r="1.8"/>'
            for run in runs
            if len(run) == 1
        )
        return f'<path class="line {line.tone}{" dashed" * line.dashed}" d="{path}"/>{dots}'

    def _area(self, line: Line) -> str:
        floor = HEIGHT - _BOTTOM
        path = "".join(
            f"M{run[0][0]:.1f} {floor}L"
            + "L".join(f"{x:.1f} {y:.1f}" for x, y in run)
            + f"L{run[-1][0]:.1f} {floor}Z"
            for run in self._runs(line)
            if run
        )
        return f'<path class="area {line.tone}" d="{path}"/>'

    def _mark(self, mark: Mark) -> str:
        x, y = self._x(mark.x), self._y(mark.y)
        return (
            f'<path class="mark {mark.tone}" d="M{x - 9:.1f} {y:.1f}h18M{x:.1f} {y:.1f}v-5">'
            f"<title>{escape(mark.text)}</title></path>"
        )

    def _hover(self, start: float, end: float, text: str) -> str:
        left, right = self._x(start), self._x(end)
        return (
            f'<rect class="hover" x="{left:.1f}" y="{_TOP}" width="{max(1, right - left):.1f}"'
            f' height="{HEIGHT - _TOP - _BOTTOM:.1f}"><title>{escape(text)}</title></rect>'
        )


def linear(high: float, show: Callable[[float], str]) -> Axis:
    """From 0 to the next round number above ``high``."""
    high = high if high > 0 else 1.0
    rough = high / _TICKS
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * 0.999)
    count = math.ceil(high / step * 0.999)
    return Axis(0, count * step, [(step * n, show(step * n)) for n in range(count + 1)])


def logarithmic(low: float, high: float, show: Callable[[float], str]) -> Axis:
    """Whole or half decades around ``low`` to ``high``, both above 0."""
    rounds = [base * 10.0**power for power in range(-4, 9) for base in (1, 2, 5)]
    first = max(value for value in rounds if value <= max(low, 1e-3))
    last = min((value for value in rounds if value >= high and value > first), default=rounds[-1])
    inside = [value for value in rounds if first <= value <= last]
    while len(inside) > 2 * _TICKS - 2:  # too many to read: keep the decades, then every second
        decades = [value for value in inside if math.log10(value) % 1 < 1e-9]
        inside = decades if len(decades) < len(inside) else inside[::2]
    return Axis(first, last, [(value, show(value)) for value in inside], log=True)


def time_axis(seconds: float) -> Axis:
    """From 0 to ``seconds``, in hours, minutes or seconds."""
    units = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
    unit, name = next((unit for unit in units if seconds >= 3 * unit[0]), units[-1])
    values = [value for value, _ in linear(seconds / unit, str).ticks]
    ticks = [
        (value * unit, f"{value:g} {name}" if value == 0 else f"{value:g}")
        for value in values
        if value * unit <= seconds * 1.0001
    ]
    return Axis(0, seconds, ticks)
