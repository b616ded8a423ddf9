"""What a run came to: each SLO against what was observed, each check of the run itself."""

from pydantic import BaseModel


class Objective(BaseModel):
    """One limit and how it came out.

    Attributes:
        of: a name of the mix, or None for everything that was sent.
        metric: p50 … p99.9, error_rate, throughput or dropped.
        unit: ms, share, 1/s or requests; of ``limit`` and ``observed``.
        observed: None if more requests failed than the percentile leaves room for.
        requests, violations: for a percentile: those sent, and those that failed or took longer.
        needed: requests that the claim takes with so many violations, at the confidence level.
        sure: whether there were enough; True for what is counted and not estimated.
    """

    of: str | None
    metric: str
    limit: float
    unit: str
    observed: float | None
    met: bool
    requests: int
    violations: int | None = None
    needed: int | None = None
    sure: bool = True


class SlowRequest(BaseModel):
    """One of the slowest requests that asked to be traced, warm-up and failures included.

    Attributes:
        t: when it was due, in seconds of the schedule.
        latency_ms: from then to its whole response.
    """

    name: str
    t: float
    latency_ms: float
    trace_id: str


class Check(BaseModel):
    """One question the run asks of itself. ``found`` and ``limit`` are for reading."""

    name: str
    passed: bool
    found: str
    limit: str
    why: str
    spoils: bool = False
