"""What the probes answer that no real server can be made to show in a test's time."""

from dataclasses import replace

from harness.launcher.health import Health, metrics
from harness.launcher.torchserve import Model
from harness.launcher.worker_log import WorkerLog

READY = Model("a 1", ("9000",), 1, 1, 0, patience=420)
CRASHED = replace(READY, ready=0)


def test_a_worker_that_torchserve_gave_up_on_needs_a_restart() -> None:
    health = Health(hung_seconds=30)
    health.heard([READY])
    health.heard([CRASHED])
    assert health.live()[0]
    health.heard([replace(CRASHED, patience=0)])  # its time is over
    assert health.live() == (False, "TorchServe has given up on a worker")
    assert health.startup()[0]


def test_fewer_workers_than_there_must_be_are_not_ready() -> None:
    health = Health(hung_seconds=30)
    health.heard([READY, replace(READY, wanted=2)])
    assert not health.ready()[0]
    assert not health.startup()[0]


def test_no_models_are_not_ready() -> None:
    health = Health(hung_seconds=30)
    health.heard([])
    assert not health.ready()[0]


def test_lines_of_one_metric_stand_together() -> None:
    second = replace(READY, name="b 1")
    text = metrics(Health(hung_seconds=30), WorkerLog(lambda: None), [READY, second])
    names = [line.partition("{")[0].partition(" ")[0] for line in text.splitlines()]
    assert names == sorted(names, key=names.index)
    assert len(set(names)) == 3 + 6
