"""From a slow load to a drain that loses nothing, over both protocols."""

import http.client
import os
import signal
from concurrent.futures import Future, ThreadPoolExecutor

import grpc
import pytest

from tests.launcher.conftest import Launcher, Site, Start
from tests.support.processes import eventually

pytestmark = pytest.mark.torchserve
GRPC = 20
METHOD = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"


def predict_over_grpc(launcher: Launcher) -> "list[Future[bytes]]":
    """GRPC predictions at once; the message is encoded by hand, by field number and length."""

    def field(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2, len(value)]) + value

    request = field(1, b"gated") + field(3, field(1, b"data") + field(2, b"ask"))

    def call() -> bytes:
        with grpc.insecure_channel(f"127.0.0.1:{launcher.site.grpc}") as channel:
            return bytes(channel.unary_unary(METHOD)(request, timeout=90))

    pool = ThreadPoolExecutor(GRPC)
    answers = [pool.submit(call) for _ in range(GRPC)]
    pool.shutdown(wait=False)
    return answers


def test_200_requests_in_work_are_answered_after_sigterm(site: Site, start: Start) -> None:
    launcher = start(site, "--drain-seconds", "80")
    eventually(launcher.is_ready)
    site.hold("hold-answers")
    rest, rpc = launcher.predict_together(200 - GRPC), predict_over_grpc(launcher)
    eventually(lambda: launcher.gauge("launcher_queue_depth") >= 196)
    launcher.process.terminate()
    eventually(lambda: launcher.gauge("launcher_draining") == 1)
    assert launcher.states() == {"startup": 200, "ready": 503, "live": 200}
    assert "draining" in launcher.ask("/ready")[1]
    site.release("hold-answers")
    assert [answer.result() for answer in rest] == [200] * (200 - GRPC)
    assert all(b'"ok": true' in answer.result() for answer in rpc)
    assert launcher.process.wait(30) == 143
    assert not site.processes()
    responses = [(each.get("path"), each.get("status")) for each in launcher.records()]
    # TorchServe logs through a ring in memory.
    assert responses.count(("/predictions/gated", 200)) == len(rest)


def test_a_batch_in_work_is_waited_for_when_nothing_is_queued(site: Site, start: Start) -> None:
    launcher = start(site)
    eventually(launcher.is_ready)
    site.hold("hold-answers")
    (answer,) = launcher.predict_together(1)
    eventually(lambda: launcher.gauge("launcher_batches_in_flight") == 1)
    launcher.process.terminate()
    with pytest.raises(TimeoutError):  # many times the quiet that ends a drain
        answer.result(3)
    assert launcher.process.poll() is None
    site.release("hold-answers")
    assert answer.result() == 200
    assert launcher.process.wait(30) == 143


# Seconds of an upload, and of the work; SLOW_REQUEST=30,20 is the longest that is allowed.
UPLOAD, WORK = map(float, os.environ.get("SLOW_REQUEST", "3,2").split(","))
LARGE = 6_000_000  # bytes, just below TorchServe's own limit


def test_uploads_work_and_downloads_outlive_sigterm(site: Site, start: Start) -> None:
    """One is uploading at SIGTERM and asks for a large answer, another is downloading one."""
    launcher = start(site, "--drain-seconds", "80")
    eventually(launcher.is_ready)
    downloading = launcher.slowly(b"large", UPLOAD)
    uploading = launcher.slowly(b"large".ljust(1_000_000), UPLOAD)
    eventually(lambda: launcher.gauge("launcher_requests_in_flight") == 2)
    site.hold("hold-answers")
    launcher.process.terminate()
    eventually(lambda: launcher.gauge("launcher_batches_in_flight") == 1)
    with pytest.raises(TimeoutError):
        downloading.result(WORK)
    site.release("hold-answers")
    for answer in (downloading, uploading):
        status, length = answer.result()
        assert status == 200
        assert length > LARGE
    assert launcher.process.wait(30) == 143
    assert "drained in" in launcher.messages()


def test_a_kept_connection_that_is_idle_is_not_waited_for(site: Site, start: Start) -> None:
    launcher = start(site, "--drain-seconds", "80")
    eventually(launcher.is_ready)
    persistent = http.client.HTTPConnection("127.0.0.1", site.http, timeout=30)
    persistent.request("POST", "/predictions/gated", b"ask")
    assert persistent.getresponse().read()
    launcher.process.terminate()
    assert launcher.process.wait(30) == 143
    persistent.close()


def test_a_drain_is_bounded(site: Site, start: Start) -> None:
    launcher = start(site, "--drain-seconds", "1")
    eventually(launcher.is_ready)
    site.hold("hold-answers")
    launcher.predict_together(1)
    eventually(lambda: launcher.gauge("launcher_batches_in_flight") == 1)
    assert launcher.end() in (143, 137)
    assert "stopping although there are requests in flight" in launcher.messages()
    assert not site.processes()


def test_a_second_signal_stops_at_once(site: Site, start: Start) -> None:
    launcher = start(site, "--drain-seconds", "600")
    eventually(launcher.is_ready)
    site.hold("hold-answers")
    launcher.predict_together(1)
    eventually(lambda: launcher.gauge("launcher_batches_in_flight") == 1)
    launcher.process.terminate()
    eventually(lambda: launcher.gauge("launcher_draining") == 1)
    launcher.process.terminate()
    assert launcher.process.wait(5) in (143, 137)
    assert not site.processes()


def test_a_hung_jvm_is_not_waited_for(site: Site, start: Start) -> None:
    """What it has will never be answered, and its restart is what a probe asked for."""
    launcher = start(site, "--drain-seconds", "600", "--hung-seconds", "2.5")
    eventually(launcher.is_ready)
    site.hold("hold-answers")
    launcher.predict_together(1)
    eventually(lambda: launcher.gauge("launcher_batches_in_flight") == 1)
    site.jvm().send_signal(signal.SIGSTOP)
    eventually(lambda: launcher.ask("/live")[0] == 503)
    launcher.process.terminate()
    assert launcher.process.wait(30) in (143, 137)
    assert "no answer for" in launcher.messages()
    assert not site.processes()
