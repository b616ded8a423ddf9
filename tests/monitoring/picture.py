"""A dashboard as one SVG, drawn from what a Prometheus answered to its queries.

It has what Grafana would show: rows, panels, lines or tables. Colors are those of the report.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from harness.dashboards import Dashboard, Panel, Row
from harness.loadtest.plot import HEIGHT, WIDTH, Line, Plot, Points, linear, time_axis

_COLUMNS, _GAP, _MARGIN = 3, 16, 20
_CAPTION, _LEGEND, _MOST = 22, 17, 5  # of a panel: its title, a line of its legend, how many
_CELL = HEIGHT + _CAPTION + _LEGEND * _MOST + 8
_PAGE = 2 * _MARGIN + _COLUMNS * WIDTH + (_COLUMNS - 1) * _GAP
_TONES = ("s0", "s1", "s2", "s3", "s4", "s5")
_STYLE = """
svg { background: #f6f7f9; } .card { fill: #fff; stroke: #e3e7ec; }
text { font: 11.5px "Liberation Sans", Arial, sans-serif; fill: #5d6877; }
text.title { font-size: 14px; font-weight: 600; fill: #1b2430; }
text.row { font-size: 17px; font-weight: 600; fill: #1b2430; }
text.page { font-size: 22px; font-weight: 700; fill: #1b2430; }
.badge { fill: #a86400; } text.badge { fill: #a86400; font-weight: 600; text-anchor: end; }
.s0 { color: #2563d9; } .s1 { color: #d9730d; } .s2 { color: #0f8f7d; }
.s3 { color: #8b4fc6; } .s4 { color: #b8336a; } .s5 { color: #6b7280; }
.y { text-anchor: end; } .x { text-anchor: middle; }
.grid { stroke: #e9edf1; } .tick { stroke: #5d6877; }
.line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
.dot { fill: currentColor; } .key { stroke: currentColor; stroke-width: 3; }
"""


@dataclass(frozen=True, slots=True)
class Series:
    """What a query answered: a name, and (seconds since the start, value); None is a gap."""

    name: str
    points: Points


Answers = Mapping[tuple[str, str], Sequence[Series]]
"""By row and panel."""


def svg(dashboard: Dashboard, answers: Answers, seconds: float) -> str:
    """The picture of a dashboard over so many seconds."""
    parts, top = [_text(_MARGIN, 36, f"TorchServe: {dashboard.title}", "page")], 62.0
    for row in dashboard.rows:
        parts.append(_text(_MARGIN, top + 16, row.heading, "row"))
        top += 30
        for index, panel in enumerate(row.panels):
            x = _MARGIN + (WIDTH + _GAP) * (index % _COLUMNS)
            y = top + (_CELL + _GAP) * (index // _COLUMNS)
            inside = "".join(_panel(row, panel, answers[row.title, panel.title], seconds))
            parts.append(f'<g transform="translate({x:g} {y:g})">{inside}</g>')
        top += (_CELL + _GAP) * -(-len(row.panels) // _COLUMNS)
    view = f'viewBox="0 0 {_PAGE:g} {top + 4:g}" width="{_PAGE:g}" height="{top + 4:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {view}><style>{_STYLE}</style>'
    return f"{head}{''.join(parts)}</svg>\n"


def _panel(row: Row, panel: Panel, answer: Sequence[Series], seconds: float) -> Iterator[str]:
    yield f'<rect class="card" width="{WIDTH:g}" height="{_CELL:g}" rx="8"/>'
    yield _text(12, 20, panel.title, "title")
    if row.simulated:
        yield _text(WIDTH - 12, 20, "simulated", "badge")
    if panel.kind == "table":
        yield from (
            _text(12, 46 + _LEGEND * line, each.name[:76]) for line, each in enumerate(answer[:18])
        )
        return
    lines = [
        Line(each.name, each.points, _TONES[index % len(_TONES)])
        for index, each in enumerate(answer)
    ]
    highest = max((value or 0 for each in answer for _, value in each.points), default=0)
    plot = Plot(panel.title, "", lines, time_axis(seconds), linear(highest, _shown(panel.unit)))
    yield f'<g transform="translate(0 {_CAPTION})">{"".join(plot.parts())}</g>'
    for index, line in enumerate(lines[:_MOST]):
        y = HEIGHT + _CAPTION + _LEGEND * index + 12
        more = f", and {len(lines) - _MOST} more" if index == _MOST - 1 < len(lines) - 1 else ""
        yield f'<path class="key {line.tone}" d="M14 {y - 4:g}h14"/>'
        yield _text(34, y, f"{line.name}{more}")


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text class="{style}" x="{x:g}" y="{y:g}">{escape(text)}</text>'


def _shown(unit: str) -> Callable[[float], str]:
    """How a value of one of Grafana's units is written."""
    factor, suffix = {
        "percentunit": (100.0, " %"),
        "percent": (1.0, " %"),
        "bytes": (1e-6, " MB"),
        "celsius": (1.0, " °C"),
        "currencyUSD": (1.0, " $"),
        "hertz": (1e-9, " GHz"),
        "ms": (1.0, " ms"),
        "s": (1.0, " s"),
        "watt": (1.0, " W"),
    }.get(unit, (1.0, ""))
    return lambda value: f"{value * factor:,.6g}{suffix}"
