"""/startup, /ready, /live and /metrics while TorchServe serves, crashes, hangs and is full.

One server for all: each test leaves it as it found it.
"""

import http.client
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launcher.conftest import Launcher, Site, starting
from tests.support.processes import eventually

pytestmark = pytest.mark.torchserve
QUEUE = 5
GOOD = {"startup": 200, "ready": 200, "live": 200}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Iterator[Launcher]:
    folder = tmp_path_factory.mktemp("states")
    site = Site(folder, archive, queue=QUEUE, models=("gated", "other"))
    with starting() as start:
        launcher = start(site, "--hung-seconds", "2.5")
        eventually(launcher.is_ready)
        yield launcher


def test_serving_is_good_everywhere(serving: Launcher) -> None:
    assert serving.states() == GOOD
    assert json.loads(serving.ask("/ready")[1])["ok"] is True


def test_metrics_are_torchserves_and_the_launchers(serving: Launcher) -> None:
    before = serving.gauge("ts_inference_requests_total")
    batches = serving.gauge("launcher_batches_total")
    assert serving.predict() == 200
    assert serving.gauge("launcher_batches_total") == batches + 1
    assert serving.gauge("ts_inference_requests_total") == before + 1
    assert serving.gauge("launcher_torchserve_up") == 1
    assert serving.gauge("launcher_ready") == 1
    assert serving.gauge("launcher_draining") == 0
    assert serving.gauge("launcher_workers") == serving.gauge("launcher_workers_ready") == 2


def test_labels_are_those_of_torchserves_metrics(serving: Launcher) -> None:
    assert (
        'launcher_queue_depth{model_name="gated",model_version="1.0"} 0'
        in serving.ask("/metrics")[1]
    )


def test_one_connection_serves_many_requests(serving: Launcher) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", serving.site.port, timeout=10)
    responses = []
    for method, path in (
        ("GET", "/live"),
        ("GET", "/ready"),
        ("GET", "/nothing"),
        ("GET", "/live?a"),
    ):
        connection.request(method, path)
        local = connection.sock.getsockname()
        response = connection.getresponse()
        responses.append((response.status, len(response.read()) > 0, local))
    connection.close()
    assert [each[:2] for each in responses] == [(200, True), (200, True), (404, True), (200, True)]
    assert len({each[2] for each in responses}) == 1


def test_a_full_queue_is_seen_and_is_no_reason_to_leave(serving: Launcher) -> None:
    serving.site.hold("hold-answers")
    try:
        # Four in the worker, as many as wait, and the rest is refused.
        answers = serving.predict_together(4 + QUEUE + 3)
        eventually(lambda: serving.gauge("launcher_queue_depth") == QUEUE)
        assert serving.gauge("launcher_batches_in_flight") == 1
        assert serving.states() == GOOD
    finally:
        serving.site.release("hold-answers")
    statuses = [answer.result() for answer in answers]
    assert set(statuses) == {200, 503}
    eventually(lambda: serving.gauge("launcher_queue_depth") == 0)
    eventually(lambda: serving.gauge("launcher_requests_in_flight") == 0)


def test_a_crash_takes_nothing_from_the_other_models(serving: Launcher) -> None:
    """Each has a single worker, and the one that crashes does so again when it is back."""
    restarts = serving.gauge("launcher_worker_restarts_total")
    for crash in (1, 2):
        serving.site.hold("hold-load")  # the worker comes back when the test says so
        try:
            assert serving.predict(b"crash") == 500
            eventually(lambda: serving.gauge("launcher_workers_ready") == 1)
            assert serving.states() == GOOD
            assert "gated 1.0: 0 of 1 workers ready" in serving.ask("/ready")[1]
            assert serving.predict(model="other") == 200
        finally:
            serving.site.release("hold-load")
        eventually(lambda: serving.gauge("launcher_workers_ready") == 2)
        assert serving.gauge("launcher_worker_restarts_total") == restarts + crash
        assert serving.predict() == 200


def test_a_hung_jvm_is_not_ready_then_not_alive_until_it_answers(serving: Launcher) -> None:
    jvm = serving.site.jvm()
    jvm.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: not serving.is_ready())
        eventually(lambda: serving.ask("/live")[0] == 503)
        assert serving.ask("/startup")[0] == 200
        assert "no answer for" in serving.ask("/live")[1]
        assert serving.gauge("launcher_torchserve_up") == 0
    finally:
        jvm.send_signal(signal.SIGCONT)
    eventually(serving.is_ready)
    assert serving.states() == GOOD
