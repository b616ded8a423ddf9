"""What the probes answer that no real server can be made to show in a test's time."""

import re

import pytest

from harness.launcher import worker_log
from harness.launcher.health import Health
from harness.launcher.metrics import metrics
from harness.launcher.torchserve import Model
from harness.launcher.worker_log import WorkerLog
from tests.launcher.lines import CRASHED, LOADED, RETRY, STARTED, own

ONE = Model(("a", "1"), ("9000",), 1, 0, 1)
TWO = Model(("b", "1"), ("9001", "9002"), 2, 0, 1)


def health(*models: Model, recovery_seconds: float = 60) -> tuple[Health, WorkerLog]:
    """All workers have loaded."""
    log = WorkerLog(lambda: None)
    judge = Health(log, hung_seconds=30, recovery_seconds=recovery_seconds)
    judge.models = models
    for number in [number for model in models for number in model.workers]:
        log.read(own(STARTED, number))
        log.read(own(LOADED, number))
    judge.on_response()
    return judge, log


def crash(log: WorkerLog, *numbers: str) -> None:
    for number in numbers:
        log.read(own(CRASHED, number))
        log.read(own(RETRY, number))


@pytest.mark.parametrize("crashed", [["9000"], ["9001"], ["9000", "9001", "9002"]])
def test_workers_that_are_coming_back_leave_it_ready(crashed: list[str]) -> None:
    judge, log = health(ONE, TWO)
    assert judge.ready() == (True, "a 1: 1 of 1 workers ready, b 1: 2 of 2 workers ready")
    crash(log, *crashed)
    judge.on_response()
    assert judge.ready()[0]
    assert judge.live()[0]


def test_a_model_without_a_worker_for_too_long_is_not_ready() -> None:
    judge, log = health(ONE, TWO, recovery_seconds=0)
    crash(log, "9001")
    assert judge.ready()[0]  # the other one of its model answers
    crash(log, "9000")
    assert judge.ready() == (False, "a 1: 0 of 1 workers ready, b 1: 1 of 2 workers ready")
    assert judge.live()[0]
    log.read(own(STARTED))
    assert not judge.ready()[0]
    log.read(own(LOADED))
    assert judge.ready()[0]


def test_a_worker_that_torchserve_gave_up_on_needs_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_log, "_RETRY", -1)  # seconds for TorchServe to say that it tries
    judge, log = health(ONE, TWO)
    crash(log, "9001")
    assert judge.live() == (True, "alive")
    log.read(own(CRASHED, "9001"))  # and this time it does not try again
    assert judge.live() == (False, "TorchServe has given up on a worker of b 1")
    assert judge.ready() == judge.live()
    assert judge.startup()[0]
    judge.draining = True  # then workers stop for good
    assert judge.live() == (True, "draining")


def test_a_useless_model_is_neither_ready_nor_alive() -> None:
    judge, _ = health(ONE, TWO)
    judge.useless["b 1"] = "3 restarts did not help"
    assert judge.ready() == judge.live() == (False, "b 1: 3 restarts did not help")


def test_a_start_needs_every_worker() -> None:
    judge, log = health(ONE)
    fresh = Health(log, hung_seconds=30, recovery_seconds=60)
    fresh.models = (ONE, TWO)
    fresh.on_response()
    assert not fresh.startup()[0]
    assert not fresh.ready()[0]
    assert judge.startup() == (True, "started")


def test_no_models_are_not_ready() -> None:
    judge, _ = health()
    assert not judge.ready()[0]


def test_lines_of_one_metric_stand_together() -> None:
    judge, _ = health(ONE, TWO)
    text = metrics(judge, {"a 1": 0, "b 1": 7}, {"log_lines_dropped_total": 3})
    declared = re.findall(r"^# TYPE (\S+) \w+$", text, re.MULTILINE)
    assert declared == sorted(set(declared))
    for family in text.split("# TYPE ")[1:]:
        declaration, *lines = family.splitlines()
        assert lines
        assert all(line.startswith(declaration.split()[0]) for line in lines)
    assert 'launcher_queue_depth{model_name="b",model_version="1"} 7' in text.splitlines()
    assert "launcher_log_lines_dropped_total 3" in text.splitlines()


def test_a_queue_that_could_not_be_asked_is_no_empty_one() -> None:
    judge, _ = health(ONE, TWO)
    assert "queue_depth" not in metrics(judge, {}, {})
