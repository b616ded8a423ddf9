"""Workers that only fail are restarted; those that only get bad input are not.

One server for all: each test leaves it as it found it.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launcher.conftest import Launcher, Site, starting
from tests.support.processes import eventually

pytestmark = pytest.mark.torchserve
GOOD = {"startup": 200, "ready": 200, "live": 200}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Iterator[Launcher]:
    site = Site(tmp_path_factory.mktemp("broken"), archive)
    sample = {"contentType": "application/octet-stream", "body": base64.b64encode(b"ask").decode()}
    site.list_archive(sample=sample)
    with starting() as start:
        launcher = start(site)
        eventually(launcher.is_ready)
        yield launcher


def test_a_client_that_sends_only_bad_input_restarts_nothing(serving: Launcher) -> None:
    restarts = serving.gauge("launcher_worker_restarts_total")
    for _ in range(20):
        assert serving.predict(b"bad") == 507  # its text has the word CUDA
    # The launcher has asked the sample meanwhile.
    eventually(lambda: serving.gauge("launcher_failures_in_a_row") == 0)
    assert serving.gauge("launcher_worker_restarts_total") == restarts
    assert serving.states() == GOOD


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"assert", 507, "RuntimeError: CUDA error: device-side assert triggered"),
        (b"lose", 503, "it fails the model's sample"),
    ],
    ids=["device error", "another error"],
)
def test_a_single_worker_that_is_broken_is_restarted(
    serving: Launcher, body: bytes, status: int, reason: str
) -> None:
    restarts = serving.gauge("launcher_worker_restarts_total")
    assert serving.predict(body) == status

    def answers() -> bool:
        # TorchServe may never answer what a worker had when it was ended.
        try:
            return serving.predict(patience=10) == 200
        except TimeoutError:
            return False

    eventually(answers)
    assert serving.gauge("launcher_worker_restarts_total") == restarts + 1
    assert serving.states() == GOOD
    assert f"gated 1.0: restarted worker 9000: {reason}" in serving.messages()
