"""Which workers are restarted because they only fail, and which only get bad input.

TorchServe keeps a worker whose every answer is a failure for as long as its process lives. What a
worker answers is in the log (worker_log.py); what it was asked is not, so failures alone say
nothing: a client may send only bad input. Three things tell the two apart, the surest first:

    device error   a text that CUDA's documentation calls the end of the process (device_error.py)
    sample         a request that the model has answered well before: a worker that fails all of
                   them now is broken. Only with a sample in the list of archives
    trials         a worker fails all that it is given while the others of its model answer most
                   of theirs, _TRIALS times. Idle workers take turns, so that a client which sends
                   one bad request between two good ones may hit the same worker each time: before
                   each trial a coin decides whether the launcher takes a turn. Without a broken
                   worker each trial is then one of two equal cases, and all of them together have
                   a chance of 1 in 2 ** _TRIALS

A single worker without a sample that fails without a device error is not restarted: nothing that
can be seen from here tells it from its clients. The log and a metric say so.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from . import Failure
from .config import ModelConfig
from .health import Health
from .store import Sample
from .torchserve import Model, Unanswered
from .worker_log import Worker

_SUSPECT = 3  # failures in a row that raise the question
_TRIALS = 20
_PROOFS = 2  # times that every one of many samples has to fail
_ASK_AGAIN = 10.0  # seconds until the samples are sent again, after they were answered well
_BACK_OFF = 10.0  # seconds, doubled with each restart that did not help
_USELESS = 3  # restarts without a good answer between, after which the model is useless


class Questions(Protocol):
    """What TorchServe can be asked so that a worker has to answer."""

    def take_turn(self, model: Model, /) -> None: ...

    def predict(self, model: Model, sample: Sample, count: int, /) -> list[bool | None]: ...


@dataclass
class _WorkerRecord:
    """What was seen of one worker, and done about it."""

    answered: int = 0  # until the last look
    failed: int = 0
    trials: int = 0
    restarts: int = 0  # since its last good answer
    not_before: float = 0.0  # the next one


@dataclass
class _ModelRecord:
    """A model, and how far it is known to work."""

    sample: Sample | None
    batch_size: int
    checked: bool = False  # a fresh worker has answered the sample
    proofs: int = 0
    ask_at: float = 0.0
    undecided: bool = False
    records: dict[str, _WorkerRecord] = field(default_factory=dict)


class Usefulness:
    """Looks at what all workers answered, about once a second."""

    def __init__(
        self,
        health: Health,
        questions: Questions,
        restart: Callable[[Worker], bool],
        log: Callable[[str], None],
        coin: Callable[[], bool] = lambda: random.random() < 0.5,  # noqa: S311 - no secret
    ) -> None:
        """``restart`` ends a worker's process, and returns whether it could: TorchServe starts
        another. ``log`` writes one line.
        """
        self._health, self._questions = health, questions
        self._restart, self._log, self._coin = restart, log, coin
        self._models: dict[tuple[str, str], _ModelRecord] = {}

    def follow(
        self, models: Mapping[tuple[str, str], ModelConfig], samples: Mapping[str, Sample]
    ) -> None:
        """Evaluate these models from now on; ``samples`` are by the archive's name."""
        for key, model in models.items():
            self._models[key] = _ModelRecord(samples.get(model.archive), model.batch_size)

    def look(self) -> None:
        """Evaluate what has been answered since the last look. Calls TorchServe only in doubt, and
        once for each sample.
        """
        for model in self._health.models:
            known = self._models[model.key]
            try:
                self._check_sample(model, known)
                self._evaluate(model, known)
            except (Unanswered, Failure) as error:
                known.ask_at = time.monotonic() + _ASK_AGAIN
                self._log(f"{model.name}: cannot be asked: {error}")

    def _check_sample(self, model: Model, known: _ModelRecord) -> None:
        if known.sample is None or known.checked:
            return
        known.checked = self._answers(model, known, known.sample)
        if known.proofs >= _PROOFS:
            known.proofs, known.sample = 0, None
            self._log(f"{model.name}: does not answer its sample, which is not used")

    def _answers(self, model: Model, known: _ModelRecord, sample: Sample) -> bool:
        """Whether the model answers its sample; ``proofs`` counts how often it surely did not.

        It is sent often enough at once that a batch holds nothing else, since one bad request may
        fail the whole batch that it is in.
        """
        answers = self._questions.predict(model, sample, 2 * known.batch_size)
        if any(answers):
            known.proofs = 0
        elif None not in answers:
            known.proofs += 1
        return any(answers)

    def _evaluate(self, model: Model, known: _ModelRecord) -> None:
        workers = dict(zip(model.workers, self._health.workers(model), strict=True))
        ready = {number: worker for number, worker in workers.items() if worker.ready}
        growth = {number: self._growth(model, known, number, ready[number]) for number in ready}
        suspects = [n for n, worker in ready.items() if worker.failed_in_a_row >= _SUSPECT]
        for number, worker in ready.items():
            if worker.device_error and worker.failed_in_a_row:
                self._end(model, known, number, worker.device_error)
        for number in suspects:
            record = known.records[number]
            others = [each for other, each in growth.items() if other != number]
            answered, failed = (sum(column) for column in zip((0, 0), *others, strict=True))
            record.trials += growth[number][1] > 0 and answered > failed
            if record.trials >= _TRIALS:
                self._end(model, known, number, "it only fails while others answer")
        if suspects and len(suspects) < len(ready):
            self._shuffle(model, known)
        elif suspects:
            self._ask_sample(model, known, suspects)

    def _growth(
        self, model: Model, known: _ModelRecord, number: str, worker: Worker
    ) -> tuple[int, int]:
        """Good answers and failures of a worker since the last look."""
        record = known.records.setdefault(number, _WorkerRecord())
        answered, failed = worker.answered - record.answered, worker.failed - record.failed
        record.answered, record.failed = worker.answered, worker.failed
        if answered:
            record.trials = record.restarts = 0
            record.not_before = 0.0
            known.undecided = False
            self._health.useless.pop(model.name, None)
        return answered, failed

    def _shuffle(self, model: Model, known: _ModelRecord) -> None:
        if not self._coin():
            return
        if known.sample and known.checked:
            self._questions.predict(model, known.sample, 1)
        else:
            self._questions.take_turn(model)

    def _ask_sample(self, model: Model, known: _ModelRecord, suspects: list[str]) -> None:
        """No worker answers: only the sample tells."""
        if known.sample is None or not known.checked:
            if not known.undecided:
                known.undecided = True
                reason = "without a sample, a broken worker cannot be told from bad input"
                self._log(f"{model.name}: every answer is a failure; {reason}")
            return
        if time.monotonic() < known.ask_at:
            return
        if self._answers(model, known, known.sample):
            known.ask_at = time.monotonic() + _ASK_AGAIN
        if known.proofs >= _PROOFS:
            known.proofs = 0
            for number in suspects:
                self._end(model, known, number, "it fails the model's sample")

    def _end(self, model: Model, known: _ModelRecord, number: str, reason: str) -> None:
        """Restart a worker, unless it was just restarted, or that has not helped."""
        record, now = known.records[number], time.monotonic()
        if now < record.not_before:
            return
        if record.restarts >= _USELESS:
            if model.name not in self._health.useless:
                why = f"{record.restarts} restarts did not help: {reason}"
                self._health.useless[model.name] = why
                self._log(f"{model.name}: {why}")
            return
        record.not_before, record.trials = now + _BACK_OFF * 2**record.restarts, 0
        worker = self._health.worker(number)
        if self._restart(worker):
            record.restarts += 1
            worker.ended += 1
            self._log(f"{model.name}: restarted worker {number}: {reason}")
        else:
            self._log(f"{model.name}: worker {number} cannot be restarted from here: {reason}")
