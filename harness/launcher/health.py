"""Whether TorchServe has started, is ready and is alive, and why not."""

import time
from dataclasses import dataclass
from enum import Enum

from .torchserve import ModelState


class Phase(Enum):
    """Where the launcher is in its life; the value is how it is said."""

    VERIFYING = "verifying the model archives"
    LOADING = "TorchServe is loading the models"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(frozen=True)
class Verdict:
    """An answer to a probe; ``reason`` says why it is no, or what is going on."""

    good: bool
    reason: str


class Health:
    """Judges what the supervisor's polls saw. Times are seconds of the monotonic clock.

    Attributes:
        phase: set by the supervisor.
        models: as last described; empty until TorchServe answered for the first time.
    """

    def __init__(self, hung_seconds: float) -> None:
        """``hung_seconds`` without an answer make a JVM hung: longer than any pause of its own."""
        self.phase = Phase.VERIFYING
        self.models: tuple[ModelState, ...] = ()
        self._hung_seconds = hung_seconds
        self._answered: float | None = None
        self._silence = ""  # why the last call got no answer
        self._ready_at: float | None = None  # when every worker was last ready

    @property
    def answering(self) -> bool:
        return self._answered is not None and not self._silence

    @property
    def complete(self) -> bool:
        """Every worker of every model is ready."""
        return bool(self.models) and all(model.ready for model in self.models)

    def heard(self, models: tuple[ModelState, ...] | None = None) -> None:
        """TorchServe answered, and described ``models`` where given."""
        self._answered, self._silence = time.monotonic(), ""
        self.models = models or self.models
        if self.complete:
            self._ready_at = self._answered
            if self.phase is Phase.LOADING:
                self.phase = Phase.SERVING

    def unheard(self, why: str) -> None:
        """TorchServe did not answer."""
        self._silence = why

    def startup(self) -> Verdict:
        """Good for ever once every model has loaded."""
        return Verdict(True, "started") if self._ready_at else self.ready()

    def ready(self) -> Verdict:
        """Good while every worker of every model is ready and no stop was asked for."""
        if self.phase in (Phase.VERIFYING, Phase.DRAINING):
            return Verdict(False, self.phase.value)
        if not self._answered:
            return Verdict(False, Phase.LOADING.value)
        if self._silence:
            return Verdict(False, f"TorchServe does not answer: {self._silence}")
        return Verdict(self.complete, self._workers())

    def live(self) -> Verdict:
        """Bad when only a restart helps: the JVM is hung, or has given up on a worker."""
        now = time.monotonic()
        if self._silence and self._answered and now - self._answered > self._hung_seconds:
            silent = now - self._answered
            return Verdict(False, f"no answer for {silent:.0f} s: {self._silence}")
        patience = max((model.patience for model in self.models), default=0)
        if self._ready_at and not self.complete and now - self._ready_at > patience:
            return Verdict(False, f"TorchServe has given up: {self._workers()}")
        return Verdict(True, self.phase.value)

    def _workers(self) -> str:
        return ", ".join(
            f"{model.name} {model.version}: {model.ready_workers} of "
            f"{max(model.min_workers, len(model.workers))} workers ready"
            for model in self.models
        )
