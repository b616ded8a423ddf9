"""Whether TorchServe has started, is ready and is alive, and why not; the launcher's metrics."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from .torchserve import Model
from .worker_log import Worker, WorkerLog

_USUAL = (("http", "200"), ("http", "500"), ("http", "503"), ("http", "507"), ("grpc", "0"))
ProbeResult = tuple[bool, str]
"""An answer to a probe, and its reason."""


class Health:
    """Evaluates the workers' states, which the log tells, and by whether TorchServe answers;
    ``unreachable_reason`` says why it does not, if so.
    """

    def __init__(self, log: WorkerLog, hung_seconds: float, recovery_seconds: float) -> None:
        """``hung_seconds`` without an answer make a JVM hung: longer than any pause of its own.
        ``recovery_seconds`` is how long a model may be without a worker that is ready.
        """
        self.models: Sequence[Model] = ()
        self.useless: dict[str, str] = {}  # models that only fail, whatever was tried, and why
        self.missing_gpus = ""  # why there are fewer than were asked for
        self.draining = False
        self.unreachable_reason = "it is starting"
        self._log = log
        self._hung_seconds = hung_seconds
        self._recovery_seconds = recovery_seconds
        self._responded_at: float | None = None  # when it last did
        self._started = False

    def on_response(self) -> None:
        """TorchServe responded."""
        self._responded_at, self.unreachable_reason = time.monotonic(), ""
        self._started |= self.all_workers_ready()

    def workers(self, model: Model) -> list[Worker]:
        """The workers of a model."""
        return [self.worker(number) for number in model.workers]

    def worker(self, number: str) -> Worker:
        """A worker by its id; one that the log has not named yet is not ready."""
        return self._log.workers.get(number) or self._log.worker()

    def ready_workers(self, model: Model) -> int:
        """How many have loaded the model, and live."""
        return sum(worker.ready for worker in self.workers(model))

    def responses(self) -> Mapping[tuple[str, str, str, str], int]:
        """How many were sent, by model, version, protocol and status code; model and version are
        empty where a request that no worker got does not name one that is served.
        """
        # With zeros for what may come: of a counter that begins at 3 Prometheus sees no growth.
        count = Counter({("", "", "grpc", "13"): 0})
        for model in self.models:
            count.update({(*model.key, *key): 0 for key in _USUAL})
            count[(model.key[0], "", "http", "503")] += 0
            for worker in self.workers(model):
                count.update({(*model.key, *key): sent for key, sent in worker.responses.items()})
        names, versions = {each.key[0] for each in self.models}, {each.key for each in self.models}
        for (name, version, *key), sent in list(self._log.rejected.items()):
            served = (name if name in names else "", version if (name, version) in versions else "")
            count[(*served, key[0], key[1])] += sent
        return count

    def all_workers_ready(self) -> bool:
        """Every worker of every model is ready."""
        models = self.models
        return bool(models) and all(self.ready_workers(m) >= m.expected_workers for m in models)

    def startup(self) -> ProbeResult:
        """Good forever once every model has loaded, where there are the GPUs that it is to have."""
        return (True, "started") if self._started and not self.missing_gpus else self.ready()

    def ready(self) -> ProbeResult:
        """Good from the start's end, while no model has been without a worker for too long and no
        stop was asked for: a crash of one takes nothing from the other models.
        """
        if self.draining:
            return False, "draining"
        if self.missing_gpus:
            return False, self.missing_gpus
        if self.unreachable_reason:
            return False, f"TorchServe does not answer: {self.unreachable_reason}"
        if reason := self._unrecoverable_reason():
            return False, reason
        workers = [
            f"{each.name}: {self.ready_workers(each)} of {each.expected_workers} workers ready"
            for each in self.models
        ]
        missing = any(self._missing_for(each) > self._recovery_seconds for each in self.models)
        return self._started and not missing, ", ".join(workers)

    def live(self) -> ProbeResult:
        """Bad when only a restart helps: the JVM is hung, has given up on a worker, or a model
        fails whatever it is asked.
        """
        if reason := self.hung():
            return False, reason
        if self.draining:
            return True, "draining"
        reason = self._unrecoverable_reason()
        return not reason, reason or "alive"

    def hung(self) -> str:
        """For how long TorchServe has not answered, once that is too long; else nothing."""
        since = self._responded_at if self.unreachable_reason else None
        seconds = 0 if since is None else time.monotonic() - since
        is_hung = seconds > self._hung_seconds
        return f"no answer for {seconds:.0f} s: {self.unreachable_reason}" if is_hung else ""

    def _unrecoverable_reason(self) -> str:
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
