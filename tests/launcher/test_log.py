"""A log that nobody reads stops neither the models nor the drain."""

import os

import pytest

from tests.launcher.conftest import Launcher, Site, Start
from tests.support.processes import eventually

pytestmark = pytest.mark.torchserve
GOOD = {"startup": 200, "ready": 200, "live": 200}
FLOOD = 3000  # access lines; a pipe holds fewer than 700


def flood(launcher: Launcher) -> None:
    """As many lines as fill every pipe between TorchServe and whoever should read."""
    for _ in range(FLOOD // 300):
        for answer in launcher.predict_together(300):
            assert answer.result() in (200, 503)


def test_a_stalled_log_stops_neither_models_nor_probes_nor_the_drain(
    site: Site, start: Start
) -> None:
    read, write = os.pipe()
    launcher = start(site, "--drain-seconds", "80", "--hung-seconds", "5", stdout=write)
    os.close(write)
    eventually(launcher.is_ready)
    flood(launcher)
    assert launcher.states() == GOOD
    assert launcher.predict() == 200
    site.hold("hold-answers")
    (answer,) = launcher.predict_together(1)
    eventually(lambda: launcher.gauge("launcher_batches_in_flight") == 1)
    launcher.process.terminate()
    with pytest.raises(TimeoutError):
        answer.result(3)
    site.release("hold-answers")
    assert answer.result() == 200
    assert launcher.process.wait(30) == 143
    assert "drained in" in launcher.messages()
    os.close(read)
