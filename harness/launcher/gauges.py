"""The launcher's own metrics, beside TorchServe's: what an autoscaler and an alert need.

    launcher_torchserve_up              1 while TorchServe answers
    launcher_ready                      1 while /ready answers 200
    launcher_draining                   1 from the first signal on
    launcher_queue_depth                requests that wait for a worker
    launcher_queue_capacity             requests that may wait; one more is answered 503
    launcher_workers                    workers that there should be
    launcher_workers_ready              workers that have loaded their model
    launcher_batches_in_flight          workers that have a batch
    launcher_worker_restarts_total      crashes of workers that had loaded their model

The last six have the labels model_name and model_version, as TorchServe's own have.
"""

from collections.abc import Iterator, Sequence

from .health import Health, Phase
from .torchserve import ModelState
from .worker_log import Worker, WorkerLog


def text(health: Health, log: WorkerLog, models: Sequence[ModelState]) -> str:
    """All of them in Prometheus' text format."""
    return "\n".join([*_process(health), *_models(log, models)]) + "\n"


def _process(health: Health) -> Iterator[str]:
    yield from _metric("torchserve_up", "gauge", [("", int(health.answering))])
    yield from _metric("ready", "gauge", [("", int(health.ready().good))])
    yield from _metric("draining", "gauge", [("", int(health.phase is Phase.DRAINING))])


def _models(log: WorkerLog, models: Sequence[ModelState]) -> Iterator[str]:
    def each(name: str, kind: str, values: Sequence[int]) -> Iterator[str]:
        labels = [f'{{model_name="{m.name}",model_version="{m.version}"}}' for m in models]
        return _metric(name, kind, list(zip(labels, values, strict=True)))

    workers = [[log.workers.get(w.id, Worker("")) for w in model.workers] for model in models]
    yield from each("queue_depth", "gauge", [m.queued for m in models])
    yield from each("queue_capacity", "gauge", [m.queue_capacity for m in models])
    yield from each("workers", "gauge", [max(m.min_workers, len(m.workers)) for m in models])
    yield from each("workers_ready", "gauge", [m.ready_workers for m in models])
    yield from each("batches_in_flight", "gauge", [sum(w.busy for w in ws) for ws in workers])
    yield from each(
        "worker_restarts_total", "counter", [sum(w.restarts for w in ws) for ws in workers]
    )


def _metric(name: str, kind: str, values: Sequence[tuple[str, int]]) -> Iterator[str]:
    if values:
        yield f"# TYPE launcher_{name} {kind}"
    for labels, value in values:
        yield f"launcher_{name}{labels} {value}"
