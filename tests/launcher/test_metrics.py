"""What /metrics says of workers and handlers, from the real TorchServe in one start."""

import time

import pytest

from tests.launcher.conftest import Site, Start
from tests.launcher.test_drain import predict_over_grpc
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


def test_times_and_responses_are_told_of_rest_and_grpc(site: Site, start: Start) -> None:
    site.settings["job_queue_size"] = "1"
    launcher = start(site)
    eventually(launcher.is_ready)

    def total(metric: str, labels: str = "") -> float:
        lines = launcher.ask("/metrics")[1].splitlines()
        samples = [line for line in lines if line.startswith(f"launcher_{metric}{{")]
        return sum(float(line.split()[-1]) for line in samples if labels in line)

    assert launcher.predict() == 200
    assert launcher.predict(b"bad") == 507
    failures = [each.exception() for each in predict_over_grpc(launcher)]
    answered = failures.count(None)
    eventually(lambda: total("responses_total") == 2 + len(failures))
    assert total("responses_total", 'version="1.0",protocol="grpc",code="0"') == answered
    # TorchServe says of a full queue INTERNAL, and does not log for which model.
    unnamed = 'model_name="",model_version="",protocol="grpc",code="13"'
    assert total("responses_total", unnamed) == len(failures) - answered
    assert total("latency_seconds_count") == total("queue_seconds_count") == 2 + answered

    before = total("latency_seconds_sum"), total("queue_seconds_sum")
    site.hold("hold-answers")
    answers = launcher.predict_together(1)
    eventually(lambda: launcher.gauge("launcher_batches_in_flight") == 1)
    answers += launcher.predict_together(8)  # one of them waits, and there is no room for more
    eventually(lambda: launcher.gauge("launcher_queue_depth") == 1)
    since = time.monotonic()
    refused = 'model_name="gated",model_version="",protocol="http",code="503"'
    eventually(lambda: total("responses_total", refused) > 0)
    seconds = time.monotonic() - since
    site.release("hold-answers")
    statuses = [answer.result() for answer in answers]
    eventually(lambda: total("responses_total", 'code="503"') == statuses.count(503))
    eventually(lambda: total("responses_total", 'code="200"') == 1 + statuses.count(200))
    # One in the worker and one in the queue, at least, for as long as the answers were held.
    assert total("latency_seconds_sum") - before[0] > 2 * seconds
    assert total("queue_seconds_sum") - before[1] > seconds
    assert launcher.end() == 143
