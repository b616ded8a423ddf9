"""Whether TorchServe has started, is ready and is alive, and why not; the launcher's metrics."""

import time
from collections.abc import Sequence

from .torchserve import Model
from .worker_log import Worker, WorkerLog

Verdict = tuple[bool, str]
"""An answer to a probe, and its reason."""


class Health:
    """Judges by the workers' states, which the log tells, and by whether TorchServe answers;
    ``silence`` says why it does not, if so.
    """

    def __init__(self, log: WorkerLog, hung_seconds: float, recovery_seconds: float) -> None:
        """``hung_seconds`` without an answer make a JVM hung: longer than any pause of its own.
        ``recovery_seconds`` is how long a model may be without a worker that is ready.
        """
        self.models: Sequence[Model] = ()
        self.useless: dict[str, str] = {}  # models that only fail, whatever was tried, and why
        self.draining = False
        self.silence = "it is starting"
        self._log = log
        self._hung_seconds = hung_seconds
        self._recovery_seconds = recovery_seconds
        self._answered: float | None = None  # when it last did
        self._started = False

    def heard(self) -> None:
        """TorchServe answered."""
        self._answered, self.silence = time.monotonic(), ""
        self._started |= self.complete()

    def workers(self, model: Model) -> list[Worker]:
        """The workers of a model."""
        return [self.worker(number) for number in model.workers]

    def worker(self, number: str) -> Worker:
        """A worker by its id; one that the log has not named yet is not ready."""
        return self._log.workers.get(number, Worker())

    def ready_workers(self, model: Model) -> int:
        """How many have loaded the model, and live."""
        return sum(worker.ready for worker in self.workers(model))

    def complete(self) -> bool:
        """Every worker of every model is ready."""
        models = self.models
        return bool(models) and all(self.ready_workers(each) >= each.wanted for each in models)

    def startup(self) -> Verdict:
        """Good for ever once every model has loaded."""
        return (True, "started") if self._started else self.ready()

    def ready(self) -> Verdict:
        """Good from the start's end, while no model has been without a worker for too long and no
        stop was asked for: a crash of one takes nothing from the other models.
        """
        if self.draining:
            return False, "draining"
        if self.silence:
            return False, f"TorchServe does not answer: {self.silence}"
        if lost := self._lost():
            return False, lost
        workers = [
            f"{each.name}: {self.ready_workers(each)} of {each.wanted} workers ready"
            for each in self.models
        ]
        missing = any(self._missing_for(each) > self._recovery_seconds for each in self.models)
        return self._started and not missing, ", ".join(workers)

    def live(self) -> Verdict:
        """Bad when only a restart helps: the JVM is hung, has given up on a worker, or a model
        fails whatever it is asked.
        """
        now = time.monotonic()
        if self.silence and self._answered and now - self._answered > self._hung_seconds:
            return False, f"no answer for {now - self._answered:.0f} s: {self.silence}"
        if self.draining:
            return True, "draining"
        lost = self._lost()
        return not lost, lost or "alive"

    def _lost(self) -> str:
        """Why a model will not come back by itself, if one will not."""
        for model in self.models:
            if model.name in self.useless:
                return f"{model.name}: {self.useless[model.name]}"
            if self._started and any(worker.given_up() for worker in self.workers(model)):
                return f"TorchServe has given up on a worker of {model.name}"
        return ""

    def _missing_for(self, model: Model) -> float:
        """Seconds that the model has been without a worker."""
        if self.ready_workers(model):
            return 0
        stopped = [w.stopped_at for w in self.workers(model) if w.stopped_at is not None]
        return time.monotonic() - max(stopped, default=0)
