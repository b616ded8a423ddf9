"""Is report B worse than report A?

Method: the judged time of each report is cut into blocks (20, or as many bins as it has).
Requests close in time fare alike, so whole blocks are drawn with replacement, not requests
(block bootstrap, 2,000 draws of each report, seeded); each draw's merged histogram gives a
percentile, and the quantiles of B's over A's give the 99 % confidence interval of the ratio.
B is worse where all of that interval lies above 1 + tolerance, better where it lies below
1 - tolerance, the same where it lies between the two, and otherwise unsure.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from harness.core.errors import InputError
from harness.loadtest import histogram
from harness.loadtest.report import BinPart, Report, Verdict

_BLOCKS = 20
_FEWEST = 8  # blocks: with fewer, their draws hardly differ
_DRAWS = 2_000
_LEVEL = 0.99
_QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

Change = Literal["worse", "better", "same", "unsure"]
Floats = NDArray[np.float64]


class Row(BaseModel):
    """One figure of both reports; ``low`` and ``high`` bound the change at 99 % confidence.

    The change is B/A - 1 for a percentile in ms, and B - A for the error rate.
    """

    of: str
    metric: str
    a: float
    b: float
    low: float
    high: float
    judgement: Change


class Comparison(BaseModel):
    """Every row, and the verdict: fail if any is worse, invalid if all are unsure."""

    verdict: Verdict
    confidence: float = _LEVEL
    tolerance: float
    rows: list[Row]


def compare(a: Report, b: Report, *, tolerance: float = 0.05) -> Comparison:
    """Compare ``b`` with ``a``.

    Raises:
        InputError: they are of different profiles, one is invalid, or has too few blocks.
    """
    if a.profile.sha256 != b.profile.sha256:
        raise InputError(
            "the two reports are of different profiles", hint="run the same profile twice"
        )
    for which, report in (("A", a), ("B", b)):
        if report.verdict == "invalid":
            raise InputError(f"report {which} is invalid: {'; '.join(report.reasons)}")
    names = [part.name for part in a.mix]
    rows: list[Row] = []
    for name in [*(["all"] if len(names) > 1 else []), *names]:
        chosen = names if name == "all" else [name]
        rows += _rows(name, _Blocks(a, chosen), _Blocks(b, chosen), tolerance)
    changes = {row.judgement for row in rows if row.metric != "error_rate"}
    worse = any(row.judgement == "worse" for row in rows)
    verdict: Verdict = "fail" if worse else "invalid" if changes == {"unsure"} else "pass"
    return Comparison(verdict=verdict, tolerance=tolerance, rows=rows)


def text(comparison: Comparison) -> str:
    """What is printed."""
    words = {
        "pass": "B is not worse",
        "fail": "B is worse",
        "invalid": "cannot tell: the runs are too short or too noisy",
    }
    lines = [f"verdict: {comparison.verdict} · {words[comparison.verdict]}", ""]
    width = max(len(row.of) for row in comparison.rows)
    for row in comparison.rows:
        unit, scale = ("%", 100) if row.metric == "error_rate" else ("ms", 1)
        lines.append(
            f"  {row.of:<{width}}  {row.metric:<10} {row.a * scale:>9.2f} → {row.b * scale:>9.2f}"
            f" {unit:<2}  {row.low:+7.1%} … {row.high:+7.1%}  {row.judgement}"
        )
    interval = f"the change's {comparison.confidence:.0%} interval (block bootstrap)"
    return "\n".join([*lines, "", f"  {interval}; worse is beyond {comparison.tolerance:+.0%}"])


class _Blocks:
    """A report's judged time in blocks: how often each value (ms) occurred, failures, requests."""

    def __init__(self, report: Report, names: Sequence[str]) -> None:
        moments = [moment for moment in report.timeline if moment.judged]
        if len(moments) < _FEWEST:
            raise InputError(
                f"only {len(moments)} stretches of judged time where {_FEWEST} are needed",
                hint="hold longer",
            )
        count = min(_BLOCKS, len(moments))
        parts: list[list[BinPart]] = [[] for _ in range(count)]
        for index, moment in enumerate(moments):
            block = parts[index * count // len(moments)]
            block += [moment.names[name] for name in names if name in moment.names]
        frequencies = [dict(_values(block)) for block in parts]
        self.values = np.array(
            sorted({value for block in frequencies for value in block}), np.float64
        )
        self.counts = np.array(
            [[block.get(value, 0) for value in self.values.tolist()] for block in frequencies],
            np.float64,
        )
        failures = [[sum(part.failures for part in block)] for block in parts]
        self.failures = np.array(failures, np.float64)
        self.sent = np.array(
            [[sum(p.due - p.dropped for p in block)] for block in parts], np.float64
        )

    def quantiles(self, weights: Floats, fraction: float) -> Floats:
        """The percentile (ms) of each row of block weights."""
        running = np.cumsum(weights @ self.counts, axis=1)
        indexes = (running < fraction * running[:, -1:]).sum(axis=1)
        values: Floats = self.values[np.minimum(indexes, len(self.values) - 1)]
        return values

    def error_rates(self, weights: Floats) -> Floats:
        """The fraction of failures of each row of block weights."""
        rates: Floats = (weights @ self.failures) / np.maximum(1, weights @ self.sent)
        return rates[:, 0]


def _values(block: Sequence[BinPart]) -> Iterator[tuple[float, int]]:
    merged: dict[float, int] = {}
    for part in block:
        if part.histogram:
            for value, count in histogram.recorded_values(histogram.decode(part.histogram)):
                merged[value] = merged.get(value, 0) + count
    yield from merged.items()


def _rows(of: str, a: _Blocks, b: _Blocks, tolerance: float) -> Iterator[Row]:
    draw = np.random.default_rng(1)
    draws = [_draws(draw, len(blocks.counts)) for blocks in (a, b)]
    once = [np.ones((1, len(blocks.counts))) for blocks in (a, b)]
    tails = [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]
    if a.values.size and b.values.size:
        for metric, fraction in _QUANTILES.items():
            ratios = b.quantiles(draws[1], fraction) / a.quantiles(draws[0], fraction) - 1
            low, high = np.quantile(ratios, tails).tolist()
            yield Row(
                of=of,
                metric=metric,
                a=float(a.quantiles(once[0], fraction)[0]),
                b=float(b.quantiles(once[1], fraction)[0]),
                low=low,
                high=high,
                judgement=_change(low, high, tolerance),
            )
    changes = b.error_rates(draws[1]) - a.error_rates(draws[0])
    low, high = np.quantile(changes, tails).tolist()
    yield Row(
        of=of,
        metric="error_rate",
        a=float(a.error_rates(once[0])[0]),
        b=float(b.error_rates(once[1])[0]),
        low=low,
        high=high,
        judgement="worse" if low > 0 else "better" if high < 0 else "same",
    )


def _draws(draw: np.random.Generator, blocks: int) -> Floats:
    """How often each block is drawn, in every one of the draws."""
    return draw.multinomial(blocks, [1 / blocks] * blocks, _DRAWS).astype(np.float64)


def _change(low: float, high: float, tolerance: float) -> Change:
    if low > tolerance:
        return "worse"
    if high < -tolerance:
        return "better"
    return "same" if low >= -tolerance and high <= tolerance else "unsure"
