"""What ``harness status --live`` prints: an environment's figures, error budgets and alerts."""

import argparse
import json
from collections.abc import Iterator, Sequence

from harness.core.errors import UsageError
from harness.kubernetes import monitoring
from harness.kubernetes.api import Api
from harness.prometheus import live
from harness.prometheus.live import Live, ModelFigures

_TITLES = ("group", "model", "requests/s", "errors", "p50", "p95", "p99", "queue", "workers")
_NOTHING = (
    "no metrics of any server: Prometheus scrapes none (docs/runbooks.md, TorchServeNotScraped)"
)


def show(args: argparse.Namespace, cluster: Api) -> int:
    """Print an environment's figures; 1 if there are none, or if a page fires."""
    if args.against:
        raise UsageError("--live shows metrics, --against compares commits: give one of them")
    figures = live.read(monitoring.prometheus(cluster))
    print(json.dumps(figures.as_json(), indent=2) if args.json else "\n".join(lines(figures)))
    pages = [each for each in figures.alerts if each.severity == "page"]
    return 0 if figures.models and not pages else 1


def lines(figures: Live) -> Iterator[str]:
    """The same for people."""
    if figures.models:
        yield from _table([_TITLES, *(_row(each) for each in figures.models)])
    else:
        yield _NOTHING
    yield ""
    yield "error budgets left:" if figures.budgets else "no error budgets: no SLO is watched here"
    width = max(map(len, figures.budgets), default=0)
    for slo, left in figures.budgets.items():
        yield f"  {slo:{width}}  {'no requests yet' if left is None else f'{left:,.1%}'}"
    yield ""
    yield "alerts that fire:" if figures.alerts else "no alert fires"
    for alert in figures.alerts:
        yield f"  {alert.severity or 'none':6}  {alert}"


def _row(model: ModelFigures) -> tuple[str, ...]:
    workers = f"{_number(model.workers_ready, '.0f')}/{_number(model.workers, '.0f')}"
    return (
        *(model.group, model.model, _number(model.requests, ".1f"), _number(model.errors, ".2%")),
        *(_number(each, ",.0f", " ms") for each in (model.p50_ms, model.p95_ms, model.p99_ms)),
        *(_number(model.queue, ".0f"), workers),
    )


def _number(figure: float | None, form: str, unit: str = "") -> str:
    return "-" if figure is None else f"{figure:{form}}{unit}"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns: names to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
