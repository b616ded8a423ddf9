"""The page of all rows: for each, what was answered when, how fast, and the pods' lives as bars."""

from collections.abc import Iterator, Sequence
from html import escape

from harness.core.page import page, section, table
from harness.loadtest.plot import WIDTH, Axis, Band, Line, Plot, linear, logarithmic, time_axis
from tests.real.row import HEAD, OURS, Row, cells

_LEFT, _RIGHT, _TOP, _STEP, _BAR, _FOOT = 46.0, 10.0, 18.0, 24.0, 8.0, 22.0
_SUFFIX = 16  # letters of a pod's name that tell it from others: those of ReplicaSet and pod
_LOST = HEAD.index("failed, wrong, dropped")
_TONES = {"waiting": "s1", "ready": "s2", "leaving": "s5"}


def render(rows: Sequence[Row]) -> str:
    """One HTML file that refers to nothing outside itself."""
    ours = [each for each in rows if each.kind == OURS]
    lost = sum(each.lost for each in ours)
    requests = sum(each.counts["requests"] for each in ours)
    word = "fail" if lost else "pass"
    header = (
        f'<header><span class="verdict {word}">{lost:,} lost</span>'
        f"<h1>{requests:,} requests to real pods while something was done to them</h1>"
        '<p class="about">The chart on two nodes, through the gateway. <i>Stock</i> is the same'
        " with TorchServe's own start and probe, and not in these numbers. A dash is not measured:"
        " <code>make e2e-load ONLY=drain-ours</code> measures <i>drain</i> again.</p></header>"
    )
    lines = map(_line, cells(rows))
    summary = section("Scenarios", table([*HEAD], lines, right={2, 3, 4, 5, 6, 8}, wide={7}))
    return page("Real pods under load", [header, summary, *_sections(rows)])


def _line(line: list[str]) -> list[str]:
    """A scenario's cells as HTML, with what ours lost in color."""
    html = [escape(cell) for cell in line]
    lost = html[_LOST]
    html[_LOST] = f'<span class="{"bad" if lost.strip("0, –") else "good"}">{lost}</span>'
    return html


def _sections(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        name = f"{row.scenario.replace('-', ' ')}, {row.kind}"
        why = "; ".join(f"{count:,} × {reason}" for reason, count in row.reasons)
        marks = ", ".join(f"{what}: {a:g} to {b:g} s" for what, (a, b) in row.marks.items())
        when = f"{row.date}, load average {row.busy:g}"
        about = f"{row.lost:,} lost{why and ': '}{why} · {marks} · {when}"
        plots = f"{_rate(row)}{_latency(row)}{_bars(row)}"
        yield (
            f'<h2>{escape(name)}</h2><p class="about" style="margin-bottom:10px">{escape(about)}'
            f'</p><div class="plots">{plots}</div>'
        )


def _bands(row: Row) -> list[Band]:
    return [Band(start, end, what, shaded=True) for what, (start, end) in row.marks.items()]


def _rate(row: Row) -> str:
    most = max((count for count, _, _ in row.series), default=1)
    answered = [(second + 0.5, float(n - lost)) for second, (n, _, lost) in enumerate(row.series)]
    lost_points = [(second + 0.5, float(lost)) for second, (_, _, lost) in enumerate(row.series)]
    return Plot(
        title="Requests per second",
        unit="by when they were due",
        lines=[
            Line("answered", answered, "s0", filled=True),
            Line("lost", lost_points, "sf", filled=True),
        ],
        x=time_axis(row.seconds),
        y=linear(most, "{:g}".format),
        bands=_bands(row),
        hover=[
            (second, second + 1, f"second {second}: {n} due, p99 {slow:,.0f} ms, {lost} lost")
            for second, (n, slow, lost) in enumerate(row.series)
        ],
    ).figure()


def _latency(row: Row) -> str:
    points = [(second + 0.5, slow or None) for second, (_, slow, _) in enumerate(row.series)]
    values = [slow for _, slow in points if slow] or [1.0]
    return Plot(
        title="p99 latency",
        unit="ms, for each second",
        lines=[Line("p99", points, "s3")],
        x=time_axis(row.seconds),
        y=logarithmic(min(values), max(values), "{:,g}".format),
        bands=_bands(row),
    ).figure()


def _bars(row: Row) -> str:
    """Each pod's life: waiting, ready, leaving."""
    axis = time_axis(row.seconds)
    floor = _TOP + _STEP * len(row.lives)
    parts = [_shade(axis, band, floor) for band in _bands(row)]
    for place, life in enumerate(row.lives):
        parts += _bar(axis, life, _TOP + place * _STEP)
    for second, label in axis.ticks:
        x = _x(axis, second)
        parts.append(
            f'<path class="tick" d="M{x:.1f} {floor:g}v4"/>'
            f'<text class="x" x="{x:.1f}" y="{floor + 18:g}">{escape(label)}</text>'
        )
    legend = "".join(f'<span class="key {tone}">{phase}</span>' for phase, tone in _TONES.items())
    return (
        f'<figure><figcaption><b>Pods</b> <i>by their names and nodes</i><span class="legend">'
        f'{legend}</span></figcaption><svg viewBox="0 0 {WIDTH:g} {floor + _FOOT:g}" role="img"'
        f' aria-label="lives of the pods">{"".join(parts)}</svg></figure>'
    )


def _x(axis: Axis, second: float) -> float:
    return _LEFT + axis.fraction(second) * (WIDTH - _LEFT - _RIGHT)


def _shade(axis: Axis, band: Band, height: float) -> str:
    left, right = _x(axis, band.start), _x(axis, band.end)
    return (
        f'<rect class="band" x="{left:.1f}" y="0" width="{right - left:.1f}"'
        f' height="{height:.1f}"><title>{escape(band.label)}</title></rect>'
    )


def _bar(
    axis: Axis, life: tuple[str, str, list[tuple[float, str]], float], top: float
) -> Iterator[str]:
    name, node, phases, last = life
    left = _x(axis, phases[0][0])
    # A label that begins late would leave the picture on its right.
    late = ' style="text-anchor:end"' if left > WIDTH / 2 else ""
    at = _x(axis, last) if late else left
    place = f" on {node or 'no node yet'}"
    label = name + place
    # The name of a proxy is longer than the picture.
    shown = ("proxy …" + name[-_SUFFIX:] if name.startswith("envoy-") else name) + place
    yield f'<text x="{at:.1f}" y="{top:.1f}"{late}>{escape(shown)}</text>'
    ends = [*(when for when, _ in phases[1:]), last]
    for (start, phase), end in zip(phases, ends, strict=True):
        begin, width = _x(axis, start), _x(axis, end) - _x(axis, start)
        yield (
            f'<rect class="{_TONES[phase]}" style="fill:var(--c)" x="{begin:.1f}" y="{top + 3:.1f}"'
            f' width="{max(1.0, width):.1f}" height="{_BAR}"><title>{escape(label)}: {phase},'
            f" second {start:g} to {end:g}</title></rect>"
        )
