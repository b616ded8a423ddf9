"""Whether TorchServe has started, is ready and is alive, and why not; the launcher's metrics."""

import time
from collections.abc import Iterator, Sequence

from .torchserve import Model
from .worker_log import Worker, WorkerLog

Verdict = tuple[bool, str]
"""An answer to a probe, and its reason."""


class Health:
    """Judges what the supervisor saw and told it."""

    def __init__(self, hung_seconds: float) -> None:
        """``hung_seconds`` without an answer make a JVM hung: longer than any pause of its own."""
        self.models: Sequence[Model] = ()
        self.draining = False
        self._hung_seconds = hung_seconds
        self._answered: float | None = None  # when it last did
        self._silence = "it is starting"  # why there was no answer
        self._complete: float | None = None  # when every worker was last ready

    def heard(self, models: Sequence[Model]) -> None:
        """TorchServe answered."""
        self.models, self._answered, self._silence = models, time.monotonic(), ""
        if self.complete():
            self._complete = self._answered

    @property
    def answering(self) -> bool:
        return not self._silence

    def unheard(self, why: str) -> None:
        """TorchServe did not answer."""
        self._silence = why

    def complete(self) -> bool:
        """Every worker of every model is ready."""
        return bool(self.models) and all(model.ready >= model.wanted for model in self.models)

    def startup(self) -> Verdict:
        """Good for ever once every model has loaded."""
        return (True, "started") if self._complete else self.ready()

    def ready(self) -> Verdict:
        """Good while every worker of every model is ready and no stop was asked for."""
        if self.draining:
            return False, "draining"
        if self._silence:
            return False, f"TorchServe does not answer: {self._silence}"
        workers = [f"{m.ready} of {m.wanted} workers ready {m.labels}" for m in self.models]
        return self.complete(), ", ".join(workers)

    def live(self) -> Verdict:
        """Bad when only a restart helps: the JVM is hung, or has given up on a worker."""
        now, patience = time.monotonic(), max((m.patience for m in self.models), default=0)
        if self._silence and self._answered and now - self._answered > self._hung_seconds:
            return False, f"no answer for {now - self._answered:.0f} s: {self._silence}"
        if self._complete and not self.complete() and now - self._complete > patience:
            return False, "TorchServe has given up on a worker"
        return True, "draining" if self.draining else "alive"


def metrics(health: Health, log: WorkerLog, models: Sequence[Model]) -> Iterator[str]:
    """The launcher's own, a line each: what an autoscaler and an alert need beside TorchServe's.

    queue_depth and queue_capacity count requests, batches_in_flight workers that have a batch,
    worker_restarts_total crashes of workers that had loaded their model.
    """
    yield f"launcher_torchserve_up {health.answering:d}"
    yield f"launcher_ready {health.ready()[0]:d}"
    yield f"launcher_draining {health.draining:d}"
    for model in models:
        workers = [log.workers.get(number, Worker()) for number in model.workers]
        yield f"launcher_queue_depth{model.labels} {model.queued}"
        yield f"launcher_queue_capacity{model.labels} {model.capacity}"
        yield f"launcher_workers{model.labels} {model.wanted}"
        yield f"launcher_workers_ready{model.labels} {model.ready}"
        yield f"launcher_batches_in_flight{model.labels} {sum(w.busy for w in workers)}"
        yield f"launcher_worker_restarts_total{model.labels} {sum(w.restarts for w in workers)}"
