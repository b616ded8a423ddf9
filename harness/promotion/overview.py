"""Two environments side by side, as a page: what each runs, and the commits in between."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from harness.core.git import LogEntry
from harness.core.page import page, section, table
from harness.promotion.releases import Record

_PERCENTILES = ("p50", "p95", "p99")
_HEAD = ["since", "commit", "release", "load test", "p95", "by", "signed by", "what"]


@dataclass(frozen=True, slots=True)
class Side:
    """An environment and its releases, the newest first."""

    env: str
    releases: Sequence[Record]


def render(proves: Side, runs: Side, ahead: Sequence[LogEntry]) -> str:
    """The whole page.

    Args:
        proves: the environment that proves releases.
        runs: the one that takes them.
        ahead: the commits that the first has and the second lacks, the newest first.
    """
    return page(
        f"{proves.env} and {runs.env}",
        [
            _header(proves, runs, ahead),
            f'<div class="plots">{_now(proves)}{_now(runs)}</div>',
            section("Load tests side by side", _figures(proves, runs)),
            section(f"In {proves.env} and not in {runs.env}", _ahead(ahead)),
            section(f"Releases of {runs.env}", _releases(runs)),
            section(f"Releases of {proves.env}", _releases(proves)),
        ],
    )


def _header(proves: Side, runs: Side, ahead: Sequence[LogEntry]) -> str:
    same = not ahead
    word = "in sync" if same else f"{len(ahead)} ahead"
    return (
        f'<header><span class="verdict {"pass" if same else "invalid"}">{word}</span>'
        f"<h1>{escape(proves.env)} and {escape(runs.env)}</h1></header>"
    )


def _now(side: Side) -> str:
    if not side.releases:
        return f"<figure><figcaption><b>{escape(side.env)}</b> nothing yet</figcaption></figure>"
    record = side.releases[0]
    return (
        f"<figure><figcaption><b>{escape(side.env)}</b> <code>{record.commit[:12]}</code> "
        f"<i>since {record.since}, by {escape(record.by)}</i><br>{escape(record.why)}"
        "</figcaption></figure>"
    )


def _figures(proves: Side, runs: Side) -> str:
    """The newest figures of each, by name; milliseconds."""
    first, second = _newest(proves), _newest(runs)
    names = list(dict.fromkeys((*first, *second)))
    head = ["", *(f"{each.env} {what}" for what in _PERCENTILES for each in (proves, runs))]

    def rows() -> Iterator[list[str]]:
        for name in names:
            cells = [
                _number(getattr(figures.get(name), what, None))
                for what in _PERCENTILES
                for figures in (first, second)
            ]
            yield [escape(name), *cells]

    return table(head, rows(), right=set(range(1, 7))) if names else table([], [["none yet"]])


def _newest(side: Side) -> dict[str, object]:
    for record in side.releases:
        if record.figures:
            return {each.name: each for each in record.figures}
    return {}


def _ahead(ahead: Sequence[LogEntry]) -> str:
    rows = (
        [f"<code>{each.commit[:12]}</code>", escape(each.subject), escape(each.by)]
        for each in ahead
    )
    return table([], rows) if ahead else table([], [["nothing"]])


def _releases(side: Side) -> str:
    return table(_HEAD, map(_row, side.releases), right={4}, wide={2, 5, 6})


def _row(record: Record) -> list[str]:
    tone = {"pass": "good", "fail": "bad", "invalid": "unsure"}.get(record.verdict, "soft")
    return [
        record.since,
        f"<code>{record.commit[:12]}</code>",
        f"<code>{record.digest[:12] or '–'}</code>",
        f'<span class="{tone}">{record.verdict or "none"}</span>',
        _number(record.p95),
        escape(record.by),
        escape(record.signed_by or "–"),
        escape(record.why),
    ]


def _number(value: object) -> str:
    return f"{value:,.1f} ms" if isinstance(value, float) else "–"
