"""An SLO of ``clusters/<env>/loadtest.yaml``: the same file judges a load test and production.

slos:
  - of: squeezenet1_1
    latency: {p50: 60, p99: 400}    # milliseconds
    errorRate: 0.0001
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from harness.core import document
from harness.core.document import Camel

Quantile = Literal["p50", "p90", "p95", "p99", "p99.9"]

QUANTILES: dict[Quantile, float] = {
    "p50": 0.50,
    "p90": 0.90,
    "p95": 0.95,
    "p99": 0.99,
    "p99.9": 0.999,
}
_BURNS_FROM = 0.95  # p90 leaves a tenth of all requests as budget: even an outage spends it slowly


class Slo(Camel):
    """What must hold over the judged stages.

    Attributes:
        of: a name of the mix; without it, everything that was sent.
        latency: milliseconds from the moment a request was due to its whole correct response; a
            failed request counts as never answered.
        first_byte: the same to the first byte of a correct response: what a stream is judged by.
        error_rate: the largest fraction of failures, incorrect responses included, from 0 to 1.
        throughput: the fewest correct responses per second.
        dropped: the most requests that were not sent because max_in_flight was reached.
    """

    of: str | None = None
    latency: dict[Quantile, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    first_byte: dict[Quantile, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    throughput: Annotated[float, Field(gt=0)] | None = None
    dropped: Annotated[int, Field(ge=0)] | None = None


class ErrorBudget(Camel):
    """How the SLOs are watched outside of a load test.

    Attributes:
        window: the days that a budget is for.
        min_bad: with fewer bad requests in an alert's long window it stays silent: at night one of
            ten wakes nobody.
    """

    window: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}d$")] = "28d"
    min_bad: Annotated[int, Field(ge=0)] = 10

    @property
    def days(self) -> int:
        """Of the window."""
        return int(self.window.removesuffix("d"))


class _Slos(Camel):
    """A profile of which only the SLOs are read."""

    model_config = ConfigDict(extra="ignore")

    slos: tuple[Slo, ...] = ()


def burns(quantile: Quantile) -> bool:
    """Whether the requests beyond a percentile are few enough to be an error budget."""
    return QUANTILES[quantile] >= _BURNS_FROM


def bounds(profile: Path) -> Iterator[float]:
    """The limits, in seconds, that a histogram of latencies must have as bounds.

    Args:
        profile: a loadtest.yaml; without one there is no limit.

    Raises:
        InputError: its SLOs are not ones.
    """
    if profile.is_file():
        for slo in document.load(profile, _Slos).slos:
            yield from (ms / 1000 for quantile, ms in slo.latency.items() if burns(quantile))
