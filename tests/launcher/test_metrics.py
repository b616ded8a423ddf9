"""What /metrics says of workers and handlers, from the real TorchServe in one start."""

import pytest

from tests.launcher.conftest import Site, Start
from tests.support.processes import eventually

pytestmark = pytest.mark.torchserve


def test_memory_timeouts_and_a_handlers_own_metrics_are_told(site: Site, start: Start) -> None:
    snapshot = site.settings["model_snapshot"]
    site.settings["model_snapshot"] = snapshot.replace(
        '"responseTimeout": 120', '"responseTimeout": 1'
    )
    site.settings["model_metrics_auto_detect"] = "true"
    launcher = start(site)
    eventually(launcher.is_ready)
    assert launcher.gauge("launcher_worker_memory_bytes") > 10_000_000

    assert launcher.predict(b"metric") == 200
    eventually(lambda: launcher.gauge("AsksOfTheHandler") == 1)

    site.hold("hold-answers")
    assert launcher.predict() == 500
    site.release("hold-answers")
    eventually(lambda: launcher.gauge("launcher_worker_timeouts_total") == 1)
    eventually(lambda: launcher.gauge("launcher_worker_restarts_total") == 1)
    eventually(lambda: launcher.gauge("launcher_workers_ready") == 1)

    assert launcher.predict(b"crash") == 500
    eventually(lambda: launcher.gauge("launcher_worker_restarts_total") == 2)
    assert launcher.gauge("launcher_worker_timeouts_total") == 1
    assert launcher.end() == 143
