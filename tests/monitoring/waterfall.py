"""A trace as one SVG: a bar for each span, below the span that it is a child of."""

from collections.abc import Iterator, Sequence
from html import escape

from tests.support.jaeger import Span

_WIDTH, _NAMES, _MARGIN, _ROW = 1060.0, 400.0, 20.0, 26.0
_TONES = ("#2563d9", "#d9730d", "#0f8f7d", "#8b4fc6")  # as the report's
_STYLE = """
svg { background: #fff; } text { font: 12.5px "Liberation Sans", Arial, sans-serif; fill: #1b2430; }
text.page { font-size: 17px; font-weight: 700; } .time { fill: #5d6877; }
.row { stroke: #e9edf1; } .end { text-anchor: end; }
"""


def svg(title: str, spans: Sequence[Span]) -> str:
    """The picture of the spans of one trace, of which one has no parent among them."""
    identities = {each.identity for each in spans}
    (root,) = (each for each in spans if each.parent not in identities)
    services = sorted({each.service for each in spans})
    scale = (_WIDTH - _NAMES - 2 * _MARGIN) / root.duration
    parts = [f'<text class="page" x="{_MARGIN:g}" y="34">{escape(title)}</text>']
    x0, y = _MARGIN + _NAMES, 62.0
    for depth, span in _below(root, 0, spans):
        x = x0 + (span.start - root.start) * scale
        milliseconds = f"{span.duration / 1000:,.1f} ms"
        width = max(span.duration * scale, 1.5)
        tone = _TONES[services.index(span.service) % len(_TONES)]
        indent = _MARGIN + 16 * depth
        parts += [
            f'<path class="row" d="M{_MARGIN:g} {y + 18:g}H{_WIDTH - _MARGIN:g}"/>',
            f'<text x="{indent:g}" y="{y + 12:g}">{escape(span.name)}</text>',
            f'<rect x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="15" rx="2" fill="{tone}"/>',
            f'<text class="time end" x="{x0 - 12:g}" y="{y + 12:g}">{milliseconds}</text>',
        ]
        y += _ROW
    for index, service in enumerate(services):
        x = _MARGIN + 300 * index
        parts += [
            f'<rect x="{x:g}" y="{y + 10:g}" width="12" height="12" fill="{_TONES[index % 4]}"/>',
            f'<text class="time" x="{x + 18:g}" y="{y + 21:g}">{escape(service)}</text>',
        ]
    view = f'viewBox="0 0 {_WIDTH:g} {y + 40:g}" width="{_WIDTH:g}" height="{y + 40:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {view}><style>{_STYLE}</style>'
    return f"{head}{''.join(parts)}</svg>\n"


def _below(span: Span, depth: int, spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """A span and all below it, as deep as they are."""
    yield depth, span
    for each in spans:
        if each.parent == span.identity:
            yield from _below(each, depth + 1, spans)
