"""The launcher's own metrics: what an autoscaler and an alert need next to TorchServe's."""

import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

from .health import Health
from .histogram import Histogram
from .torchserve import Model

_Sample = tuple[str, str, float | Histogram]
"""A metric's name, its labels as ``key="value"`` pairs with commas, and its value."""


def metrics(health: Health, queued: Mapping[str, int], totals: Mapping[str, int]) -> str:
    """Prometheus' text. ``queued`` is by model, and lacks what could not be asked; ``totals`` are
    values of the whole server, by name. docs/launcher.md says what each metric counts.
    """
    lines: dict[str, list[str]] = {}
    for name, labels, amount in _samples(health, queued, totals):
        lines.setdefault(name, [f"# TYPE launcher_{name} {_kind(name, amount)}"])
        lines[name] += _lines(f"launcher_{name}", labels, amount)
    return "".join(f"{line}\n" for name in sorted(lines) for line in lines[name])


def _samples(
    health: Health, queued: Mapping[str, int], totals: Mapping[str, int]
) -> Iterator[_Sample]:
    server = {"ready": health.ready()[0], "draining": health.draining, **totals}
    for name, amount in (server | {"torchserve_up": not health.unreachable_reason}).items():
        yield name, "", +amount
    for model in health.models:
        labels = 'model_name="{}",model_version="{}"'.format(*model.key)
        for name, number in _of_model(health, model).items():
            yield name, labels, number
        for worker_number in model.workers:
            worker = health.worker(worker_number)
            if (memory := _resident(worker.pid)) is not None:
                yield "worker_memory_bytes", f'{labels},worker="{worker_number}"', memory
        if model.name in queued:
            yield "queue_depth", labels, queued[model.name]
    for key, count in sorted(health.responses().items()):
        labels = 'model_name="{}",model_version="{}",protocol="{}",code="{}"'.format(*key)
        yield "responses_total", labels, count


def _of_model(health: Health, model: Model) -> dict[str, float | Histogram]:
    workers = health.workers(model)

    def total(count: str) -> int:
        return sum(getattr(worker, count) for worker in workers)

    return {
        "workers": model.expected_workers,
        "workers_ready": health.ready_workers(model),
        "batch_size": model.batch_size,
        "batches_in_flight": total("busy"),
        "batches_total": total("batches"),
        "worker_restarts_total": total("restarts"),
        "worker_timeouts_total": total("timeouts"),
        "worker_ends_total": total("ended"),
        "answers_total": total("answered"),
        "failures_total": total("failed"),
        "failures_in_a_row": max((worker.failed_in_a_row for worker in workers), default=0),
        "useless": +(model.name in health.useless),
        "load_seconds": max((worker.load_seconds for worker in workers), default=0.0),
        "latency_seconds": Histogram.total(worker.latency for worker in workers),
        "queue_seconds": Histogram.total(worker.queued for worker in workers),
    }


def _kind(name: str, amount: float | Histogram) -> str:
    if isinstance(amount, Histogram):
        return "histogram"
    return "counter" if name.endswith("_total") else "gauge"


def _lines(name: str, labels: str, amount: float | Histogram) -> Iterator[str]:
    if isinstance(amount, Histogram):
        yield from (f"{sample} {count}" for sample, count in amount.samples(name, labels))
    else:
        yield f"{name}{{{labels}}} {amount}" if labels else f"{name} {amount}"


def _resident(pid: int | None) -> int | None:
    """Bytes of memory that a process has, with what it shares; None if the kernel does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return None
