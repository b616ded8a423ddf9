"""What becomes of each SLO of a load profile outside of a load test.

A percentile from p95 on, and an error rate, leave a share of requests that may be bad: an error
budget. The servers' own figures say how many are: latency here runs from a request's place in the
server's queue to its response, without the gateway and the network between.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.loadtest.profile import Profile
from harness.prometheus.live import FAILURES
from harness.slo import QUANTILES, Slo, burns


@dataclass(frozen=True, slots=True)
class Indicator:
    """Requests, and the bad ones among them, as Prometheus counts them.

    Attributes:
        name: of the SLO, such as ``cat-p99`` or ``all-errors``.
        model: whose requests; "" for those of all models.
        budget: the share of requests that may be bad, above 0 and below 1.
        requests, bad: PromQL, requests per second over five minutes.
        limit: in words.
    """

    name: str
    model: str
    budget: float
    requests: str
    bad: str
    limit: str


@dataclass(frozen=True, slots=True)
class Unwatched:
    """An SLO that only a load test can evaluate: its limit in words, and why."""

    limit: str
    why: str


def of(profile: Profile) -> Iterator[Indicator | Unwatched]:
    """What becomes of every limit of a profile, in the file's order."""
    models = {entry.name: entry.model_name for entry in profile.mix}
    for slo in profile.slos:
        subject, model = slo.of or "all", models[slo.of] if slo.of else ""
        limits = _without_model(slo, subject) if model is None else _of(slo, subject, model)
        yield from limits


def _of(slo: Slo, subject: str, model: str) -> Iterator[Indicator | Unwatched]:
    for quantile, limit in slo.latency.items():
        words = f"{subject}: {quantile} ≤ {limit:g} ms"
        if burns(quantile):
            budget = round(1 - QUANTILES[quantile], 6)
            yield Indicator(f"{subject}-{quantile}", model, budget, *_slow(model, limit), words)
        else:
            yield Unwatched(words, f"so many requests may be slower that {quantile} has no budget")
    if slo.error_rate is not None:
        words = f"{subject}: error rate ≤ {slo.error_rate:g}"
        if 0 < slo.error_rate < 1:
            name = f"{subject}-errors"
            yield Indicator(name, model, slo.error_rate, *_failures(model), words)
        else:
            yield Unwatched(
                words, "leaves no budget, or everything: TorchServeRequestsFail watches"
            )
    yield from _of_load_test(slo, subject)


def _of_load_test(slo: Slo, subject: str) -> Iterator[Unwatched]:
    """The limits that no server has a figure for."""
    for quantile, limit in slo.first_byte.items():
        yield Unwatched(f"{subject}: first byte {quantile} ≤ {limit:g} ms", "no server counts it")
    if slo.throughput is not None:
        why = "users decide how much they send"
        yield Unwatched(f"{subject}: throughput ≥ {slo.throughput:g}/s", why)
    if slo.dropped is not None:
        yield Unwatched(f"{subject}: dropped ≤ {slo.dropped}", "it is of the load generator")


def _without_model(slo: Slo, subject: str) -> Iterator[Unwatched]:
    """The limits on a request whose path names no model."""
    why = "the request's path names no model"
    for quantile, limit in slo.latency.items():
        yield Unwatched(f"{subject}: {quantile} ≤ {limit:g} ms", why)
    if slo.error_rate is not None:
        yield Unwatched(f"{subject}: error rate ≤ {slo.error_rate:g}", why)
    yield from _of_load_test(slo, subject)


def _slow(model: str, limit: float) -> tuple[str, str]:
    """Requests that a worker responded to, and those of them that took longer than ``limit`` ms."""
    every = f"sum(rate(launcher_latency_seconds_count{_selector(model)}[5m]))"
    bound = f'le="{limit / 1000}"'
    quick = f"sum(rate(launcher_latency_seconds_bucket{_selector(model, bound)}[5m]))"
    return every, f"clamp_min({every} - {quick}, 0)"


def _failures(model: str) -> tuple[str, str]:
    """Requests that were responded to, and those of them that failed on the server's side."""
    every = f"sum(rate(launcher_responses_total{_selector(model)}[5m]))"
    failed = f"sum(rate(launcher_responses_total{_selector(model, FAILURES)}[5m]))"
    return every, f"{failed} or 0 * {every}"


def _selector(model: str, *more: str) -> str:
    labels = ((f'model_name="{model}"',) if model else ()) + more
    return "{" + ",".join(labels) + "}" if labels else ""
