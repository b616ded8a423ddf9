"""Which workers are restarted, told by what they answered; no client is believed."""

import itertools

import pytest

from harness.launcher import usefulness
from harness.launcher.config import ModelConfig
from harness.launcher.health import Health
from harness.launcher.store import Sample
from harness.launcher.torchserve import Model
from harness.launcher.usefulness import Usefulness
from harness.launcher.worker_log import Worker, WorkerLog
from tests.launcher.lines import CRASHED, LOADED, STARTED, answer, log_line, own

KEY = ("slow", "1.0")
SAMPLE = Sample("image/png", b"a picture")
ASSERT = "RuntimeError: CUDA error: device-side assert triggered"


class Server:
    """A model whose workers are broken or not, and clients that send good or bad input."""

    def __init__(self, workers: int, *, sample: Sample | None = None) -> None:
        self.numbers = tuple(str(9000 + index) for index in range(workers))
        self.turns = itertools.cycle(self.numbers)  # idle workers take turns
        self.broken: set[str] = set()
        self.incurable = False
        self.lines: list[str] = []
        self.restarted: list[str] = []
        self.log = WorkerLog(lambda: None)
        self.health = Health(self.log, hung_seconds=30, recovery_seconds=60)
        self.health.models = [Model(KEY, self.numbers, workers, 0, 1)]
        self.coins = itertools.cycle([True, False, False, True, True, False, True])
        self.judge = Usefulness(
            self.health, self, self.restart, self.lines.append, lambda: next(self.coins)
        )
        samples = {"slow.mar": sample} if sample else {}
        self.judge.follow({KEY: ModelConfig("slow.mar", workers, 4)}, samples)
        for number in self.numbers:
            self.start(number)
        self.judge.look()

    def start(self, number: str) -> None:
        for state in (STARTED, LOADED):
            self.log.read(own(state, number))

    def request(self, *, good: bool = True) -> bool:
        """Whether it is answered well, by the worker whose turn it is."""
        number = next(self.turns)
        well = good and number not in self.broken
        self.log.read(answer(200 if well else 503, number))
        return well

    def restart(self, worker: Worker) -> bool:
        (number,) = (n for n, each in self.log.workers.items() if each is worker)
        self.restarted.append(number)
        self.log.read(own(CRASHED, number))
        self.start(number)
        if not self.incurable:
            self.broken.discard(number)
        return True

    def take_turn(self, _: Model) -> None:
        next(self.turns)

    def predict(self, _: Model, sample: Sample, count: int) -> list[bool | None]:
        assert sample is SAMPLE
        return [self.request() for _ in range(count)]

    def looks(self, count: int, *kinds: bool) -> None:
        """As many seconds, in each of which clients send good (True) and bad input."""
        for _ in range(count):
            for good in kinds:
                self.request(good=good)
            self.judge.look()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr(usefulness, "_ASK_AGAIN", 0.0)
    monkeypatch.setattr(usefulness, "_BACK_OFF", 0.0)


@pytest.mark.parametrize("sample", [None, SAMPLE], ids=["no sample", "sample"])
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize(
    "kinds",
    [(False,), (False, True), (False, False, True), (False, False, False), (True, False, True)],
    ids=["only bad", "alternating", "two of three", "a burst", "one of three"],
)
def test_bad_input_restarts_nothing(
    sample: Sample | None, workers: int, kinds: tuple[bool, ...]
) -> None:
    server = Server(workers, sample=sample)
    server.looks(500, *kinds)
    assert not server.restarted
    assert server.health.live() == (True, "alive")


@pytest.mark.parametrize("sample", [None, SAMPLE], ids=["no sample", "sample"])
def test_a_worker_that_fails_while_others_answer_is_restarted(sample: Sample | None) -> None:
    server = Server(2, sample=sample)
    server.broken.add("9001")
    server.looks(80, True, True, True)
    assert server.restarted == ["9001"]
    assert server.lines[-1] == (
        "slow 1.0: restarted worker 9001: it only fails while others answer"
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_that_fail_the_sample_are_restarted(workers: int) -> None:
    server = Server(workers, sample=SAMPLE)
    server.broken.update(server.numbers)
    server.looks(5, True, True, True, True, True, True)
    assert sorted(server.restarted) == list(server.numbers)
    assert "it fails the model's sample" in server.lines[0]


def test_without_a_sample_a_single_worker_is_reported_once_and_left_alone() -> None:
    server = Server(1)
    server.broken.add("9000")
    server.looks(50, True)
    assert not server.restarted
    (line,) = server.lines
    assert line.startswith("slow 1.0: every answer is a failure; without a sample, a broken worker")


def test_a_device_error_restarts_a_single_worker_at_once() -> None:
    server = Server(1)
    server.broken.add("9000")
    server.log.read(log_line(ASSERT))
    server.looks(1, True)
    assert server.restarted == ["9000"]
    assert ASSERT in server.lines[0]


def test_a_device_error_that_only_stands_in_the_log_restarts_nothing() -> None:
    server = Server(1)
    server.log.read(log_line(ASSERT))
    server.looks(10, True)
    assert not server.restarted


def test_a_model_that_restarts_do_not_help_is_useless_until_it_answers() -> None:
    server = Server(2, sample=SAMPLE)
    server.broken.update(server.numbers)
    server.incurable = True
    server.looks(100, True, True, True, True, True, True)
    assert len(server.restarted) == 3 * 2
    assert sum(worker.ended for worker in server.log.workers.values()) == 6
    reason = "slow 1.0: 3 restarts did not help: it fails the model's sample"
    assert server.health.live() == (False, reason)
    assert server.lines.count(reason) == 1
    server.broken.clear()
    server.looks(1, True, True)
    assert server.health.live() == (True, "alive")


def test_a_restart_that_did_not_help_is_not_tried_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(usefulness, "_BACK_OFF", 1000.0)
    server = Server(1, sample=SAMPLE)
    server.broken.add("9000")
    server.incurable = True
    server.looks(100, True, True, True)
    assert server.restarted == ["9000"]


def test_a_sample_that_is_not_answered_by_fresh_workers_is_not_used() -> None:
    server = Server(1)
    server.broken.add("9000")
    server.judge.follow({KEY: ModelConfig("slow.mar", 1, 4)}, {"slow.mar": SAMPLE})
    server.looks(50, True)
    assert not server.restarted
    assert "slow 1.0: does not answer its sample, which is not used" in server.lines


def test_a_sample_that_fails_beside_bad_input_proves_nothing() -> None:
    """Many handlers fail the whole batch that one bad request is in."""
    server = Server(1, sample=SAMPLE)

    def spoil_first(_: Model, __: Sample, count: int) -> list[bool | None]:
        return [False, *[True] * (count - 1)]

    server.predict = spoil_first  # type: ignore[method-assign, assignment]
    server.looks(50, False)
    assert not server.restarted


def test_a_sample_that_is_first_asked_beside_bad_input_is_still_used() -> None:
    server = Server(1)
    answers = server.predict
    server.judge.follow({KEY: ModelConfig("slow.mar", 1, 4)}, {"slow.mar": SAMPLE})
    server.predict = lambda *_: [False] * 4 + [True] * 4  # type: ignore[method-assign]
    server.looks(1, False)
    server.predict = answers  # type: ignore[method-assign]
    server.broken.add("9000")
    server.looks(50, True)
    assert server.restarted == ["9000"]


def test_others_that_fail_most_of_theirs_are_no_comparison() -> None:
    server = Server(2)
    for _ in range(50):
        for number, status in (("9000", 503), ("9001", 503), ("9001", 200), ("9001", 503)):
            server.log.read(answer(status, number))
        server.judge.look()
    assert not server.restarted


def test_what_came_to_no_worker_proves_nothing() -> None:
    server = Server(1, sample=SAMPLE)
    server.predict = lambda *_: [None, False]  # type: ignore[method-assign]
    server.looks(50, False)
    assert not server.restarted
