"""The launcher's own metrics: what an autoscaler and an alert need next to TorchServe's."""

from collections.abc import Mapping
from pathlib import Path

from .health import Health

_KIB = 1024


def metrics(health: Health, queued: Mapping[str, int], totals: Mapping[str, int]) -> str:
    """Prometheus' text. ``queued`` is by model, and lacks what could not be asked; ``totals`` are
    values of the whole server, by name. docs/launcher.md says what each metric counts.
    """
    values: dict[str, int] = {"ready": health.ready()[0], "draining": health.draining}
    values |= {"torchserve_up": not health.unreachable_reason, **totals}
    for model in health.models:
        labels = '{{model_name="{}",model_version="{}"}}'.format(*model.key)
        workers = health.workers(model)
        values |= {
            f"workers{labels}": model.expected_workers,
            f"workers_ready{labels}": health.ready_workers(model),
            f"batches_in_flight{labels}": sum(worker.busy for worker in workers),
            f"batches_total{labels}": sum(worker.batches for worker in workers),
            f"worker_restarts_total{labels}": sum(worker.restarts for worker in workers),
            f"worker_timeouts_total{labels}": sum(worker.timeouts for worker in workers),
            f"worker_ends_total{labels}": sum(worker.ended for worker in workers),
            f"answers_total{labels}": sum(worker.answered for worker in workers),
            f"failures_total{labels}": sum(worker.failed for worker in workers),
            f"failures_in_a_row{labels}": max((w.failed_in_a_row for w in workers), default=0),
            f"useless{labels}": model.name in health.useless,
        }
        for number in model.workers:
            if (memory := _resident(health.worker(number).pid)) is not None:
                values[f'worker_memory_bytes{labels[:-1]},worker="{number}"}}'] = memory
        if model.name in queued:
            values[f"queue_depth{labels}"] = queued[model.name]
    return "".join(f"launcher_{name} {value:d}\n" for name, value in sorted(values.items()))


def _resident(pid: int | None) -> int | None:
    """Bytes of memory that a process has, with what it shares; None if the kernel does not say."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(_KIB * int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    except (OSError, StopIteration, ValueError):
        return None
