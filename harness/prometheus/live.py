"""The servers' figures now, as the dashboards show them, and what is left of error budgets."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from harness.prometheus.client import Alert, Prometheus

FAILURES = 'code=~"5..|2|13|14|15"'
"""HTTP's 5xx, and gRPC's UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS: what the launcher counts as
failures. HTTP's codes have three digits, so one expression serves both protocols.
"""

_BY = "by (group, model_name)"
_RESPONSES = f"sum {_BY} (rate(launcher_responses_total[5m]))"
_FAILED = f"sum {_BY} (rate(launcher_responses_total{{{FAILURES}}}[5m]))"
_BUCKETS = "sum by (le, group, model_name) (rate(launcher_latency_seconds_bucket[5m]))"
QUERIES: Mapping[str, str] = {
    "requests": _RESPONSES,
    "errors": f"{_FAILED} / ({_RESPONSES} > 0)",
    "p50_ms": f"1000 * histogram_quantile(0.5, {_BUCKETS})",
    "p95_ms": f"1000 * histogram_quantile(0.95, {_BUCKETS})",
    "p99_ms": f"1000 * histogram_quantile(0.99, {_BUCKETS})",
    "queue": f"sum {_BY} (launcher_queue_depth)",
    "workers_ready": f"sum {_BY} (launcher_workers_ready)",
    "workers": f"sum {_BY} (launcher_workers)",
}
"""What is asked for each figure of ``ModelFigures``, in its order: five minutes of every pod."""

_BUDGETS = "slo:error_budget:ratio"
_REMAINING = "slo:period_error_budget_remaining:ratio"


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """One model of a group; None where there is no data, such as a percentile without requests.

    Attributes:
        requests: responses per second.
        errors: the share of them that failed, from 0 to 1.
        p50_ms, p95_ms, p99_ms: latency in the server, milliseconds.
        queue: requests that wait for a worker.
        workers_ready, workers: those that have loaded the model, and those that it should have.
    """

    group: str
    model: str
    requests: float | None = None
    errors: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    queue: float | None = None
    workers_ready: float | None = None
    workers: float | None = None


@dataclass(frozen=True, slots=True)
class Live:
    """An environment now.

    Attributes:
        models: by group and name.
        budgets: what is left of each SLO's error budget, 1 being all of it and below 0 more than
            all; None where nothing was requested in its window.
        alerts: those that fire.
    """

    models: Sequence[ModelFigures]
    budgets: Mapping[str, float | None]
    alerts: Sequence[Alert]

    def as_json(self) -> dict[str, object]:
        """As plain values."""
        return {
            "models": [asdict(each) for each in self.models],
            "error_budgets": dict(self.budgets),
            "alerts": [
                {
                    "name": each.name,
                    "severity": each.severity,
                    "summary": each.annotations.get("summary", ""),
                    "labels": dict(each.labels),
                }
                for each in self.alerts
            ],
        }


def read(prometheus: Prometheus) -> Live:
    """Everything, by ten queries.

    Raises:
        HarnessError: Prometheus cannot be asked.
    """
    figures: dict[tuple[str, str], dict[str, float]] = {}
    for name, query in QUERIES.items():
        for sample in prometheus.query(query):
            key = sample.labels.get("group", ""), sample.labels.get("model_name", "")
            figures.setdefault(key, {})[name] = sample.value
    # Requests for what nobody serves are counted under an empty name.
    models = [
        ModelFigures(*key, *(figures[key].get(name) for name in QUERIES))
        for key in sorted(figures)
        if key[1]
    ]
    return Live(models, budgets(prometheus), prometheus.firing())


def budgets(prometheus: Prometheus) -> dict[str, float | None]:
    """What is left of the error budget of each SLO that Prometheus has a rule for, by its name.

    Raises:
        HarnessError: Prometheus cannot be asked.
    """
    left: dict[str, float | None] = {
        sample.labels.get("slo", ""): None for sample in prometheus.query(_BUDGETS)
    }
    for sample in prometheus.query(_REMAINING):
        left[sample.labels.get("slo", "")] = sample.value
    return dict(sorted(left.items()))
