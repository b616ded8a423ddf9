"""Whether TorchServe has started, is ready and is alive, and why not; the launcher's metrics."""

import time
from collections.abc import Sequence

from .torchserve import Model
from .worker_log import Worker, WorkerLog

Verdict = tuple[bool, str]
"""An answer to a probe, and its reason."""


class Health:
    """Judges what the supervisor saw. ``silence`` says why TorchServe does not answer, if so."""

    def __init__(self, hung_seconds: float) -> None:
        """``hung_seconds`` without an answer make a JVM hung: longer than any pause of its own."""
        self.models: Sequence[Model] = ()
        self.draining = False
        self._hung_seconds = hung_seconds
        self._answered: float | None = None  # when it last did
        self.silence = "it is starting"
        self._complete: float | None = None  # when every worker was last ready

    def heard(self, models: Sequence[Model]) -> None:
        """TorchServe answered."""
        self.models, self._answered, self.silence = models, time.monotonic(), ""
        if self.complete():
            self._complete = self._answered

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
        if self.silence:
            return False, f"TorchServe does not answer: {self.silence}"
        workers = [f"{m.name}: {m.ready} of {m.wanted} workers ready" for m in self.models]
        return self.complete(), ", ".join(workers)

    def live(self) -> Verdict:
        """Bad when only a restart helps: the JVM is hung, or has given up on a worker."""
        now, patience = time.monotonic(), max((m.patience for m in self.models), default=0)
        if self.silence and self._answered and now - self._answered > self._hung_seconds:
            return False, f"no answer for {now - self._answered:.0f} s: {self.silence}"
        if self._complete and not self.complete() and now - self._complete > patience:
            return False, "TorchServe has given up on a worker"
        return True, "draining" if self.draining else "alive"


def metrics(health: Health, log: WorkerLog, models: Sequence[Model]) -> str:
    """The launcher's own: what an autoscaler and an alert need beside TorchServe's.

    queue_depth counts requests, batches_in_flight workers that have a batch, batches_total what
    they were given, worker_restarts_total crashes of workers that had loaded their model.
    """
    values: dict[str, int] = {"ready": health.ready()[0], "draining": health.draining}
    values["torchserve_up"] = not health.silence
    for model in models:
        labels = '{{model_name="{}",model_version="{}"}}'.format(*model.name.split(" "))
        workers = [log.workers.get(number, Worker()) for number in model.workers]
        values |= {
            f"queue_depth{labels}": model.queued,
            f"workers{labels}": model.wanted,
            f"workers_ready{labels}": model.ready,
            f"batches_in_flight{labels}": sum(worker.busy for worker in workers),
            f"batches_total{labels}": sum(worker.batches for worker in workers),
            f"worker_restarts_total{labels}": sum(worker.restarts for worker in workers),
        }
    return "".join(f"launcher_{name} {value:d}\n" for name, value in sorted(values.items()))
