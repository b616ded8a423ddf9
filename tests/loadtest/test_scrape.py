"""The server's figures, from the text that it really shows."""

import pytest

from harness.core.errors import HarnessError
from harness.loadtest.scrape import Reading, Scrape, Scraper, _read, parse, summary

TEXT = r"""
# HELP ts_queue_latency_microseconds Cumulative queue duration in microseconds
# TYPE ts_queue_latency_microseconds counter
ts_queue_latency_microseconds{model_name="face",model_version="default",hostname="h",} 3000.5
ts_inference_requests_total{model_name="face",model_version="default",hostname="h",} 4.0
Requests5XX{Level="Host",Hostname="h",} 0.0
launcher_queue_depth{model_name="face",model_version="1.0"} 2
DCGM_FI_DEV_GPU_UTIL{gpu="0",modelName="NVIDIA \"A10G\""} 40
DCGM_FI_DEV_GPU_UTIL{gpu="1"} 60
DCGM_FI_DEV_FB_USED{gpu="0"} 1000
DCGM_FI_DEV_FB_USED{gpu="1"} 500
not a metric
NaN_is_one NaN
"""


def test_labels_with_quotes_and_commas_are_read() -> None:
    samples = {name: labels for name, labels, _ in parse(TEXT)}
    assert samples["ts_inference_requests_total"]["model_name"] == "face"
    assert "NaN_is_one" in samples


def _scraper_after(*pods_at: tuple[float, dict[str, str]]) -> Scraper:
    scraper = Scraper(_nobody)
    for t, pods in pods_at:
        values = {
            key: value for pod, text in pods.items() for key, value in _read(pod, text).items()
        }
        scraper.scrapes.append(Scrape(t, values))
    return scraper


def test_counters_become_means_and_gauges_stay() -> None:
    later = TEXT.replace("3000.5", "23000.5").replace("} 4.0", "} 14.0")
    server = summary(_scraper_after((0, {"a": TEXT}), (2, {"a": later})), [(0, 2)])
    assert server is not None
    face = server.models["face"]
    assert (face.arrivals, face.queue_ms, face.queue_depth) == (5.0, 2.0, 2.0)
    assert (server.gpu_util, server.gpu_memory) == (50.0, 1500.0)


def test_the_memory_of_a_models_workers_adds_up() -> None:
    text = 'launcher_worker_memory_bytes{model_name="m",model_version="1",worker="%s"} %d\n'
    pods = dict.fromkeys("ab", text % ("1", 3 << 20) + text % ("2", 5 << 20))
    later = dict.fromkeys("ab", text % ("1", 4 << 20) + text % ("2", 5 << 20))
    server = summary(_scraper_after((0, pods), (1, later), (2, later)), [(0, 2)])
    assert server is not None
    assert server.models["m"].worker_memory == 18
    assert [point.models["m"].worker_memory for point in server.timeline] == [18, 18]


def test_batches_are_filled_by_what_left_the_queue() -> None:
    text = (
        'ts_inference_requests_total{model_name="m"} %d\n'
        'launcher_queue_depth{model_name="m"} %d\nlauncher_batches_total{model_name="m"} %d'
    )
    scraper = _scraper_after((0, {"a": text % (10, 2, 5)}), (1, {"a": text % (30, 6, 9)}))
    server = summary(scraper, [(0, 1)])
    assert server is not None
    assert server.models["m"].batch_fill == (20 - 4) / 4


def test_pods_add_up_and_a_restart_is_no_negative_growth() -> None:
    text = 'ts_inference_requests_total{model_name="m"} %d'
    scraper = _scraper_after(
        (0, {"a": text % 100, "b": text % 10}),
        (1, {"a": text % 103, "b": text % 2}),
        (2, {"a": text % 104, "b": text % 5, "new": text % 50}),
    )
    server = summary(scraper, [(0, 2)])
    assert server is not None
    assert server.models["m"].arrivals == pytest.approx((3 + 2 + 1 + 3) / 2)
    assert server.pods == ["a", "b", "new"]


def test_a_counter_that_appears_has_grown_from_zero() -> None:
    scraper = _scraper_after(
        (0, {"a": "Requests5XX 0"}),
        (1, {"a": 'Requests5XX 0\nts_inference_requests_total{model_name="m"} 3'}),
    )
    server = summary(scraper, [(0, 1)])
    assert server is not None
    assert server.models["m"].arrivals == 3.0


def _nobody() -> Reading:
    return Reading({}, {"a": "403 Forbidden"})


def test_nothing_scraped_is_no_figure_and_the_reason_is_kept() -> None:
    scraper = Scraper(_nobody)
    scraper._scrape(0)
    scraper._scrape(0)
    assert summary(scraper, [(0, 1)]) is None
    assert [str(each) for each in scraper.unread] == ["a in 2 scrapes: 403 Forbidden"]


def test_who_lists_no_pod_at_all_says_why() -> None:
    def refuse() -> Reading:
        raise HarnessError("staging: 403 Forbidden: pods")

    scraper = Scraper(refuse)
    scraper._scrape(0)
    assert (scraper.missed, scraper.unread[0].source) == (1, "every pod")
    assert scraper.unread[0].why == "staging: 403 Forbidden: pods"


def test_the_pod_with_the_fewest_java_libraries_speaks_for_all() -> None:
    text = "launcher_pinned_java_libraries %d"
    server = summary(
        _scraper_after((0, {"a": text % 40}), (1, {"a": text % 40, "b": text % 0})), []
    )
    assert server is not None
    assert server.pinned_java_libraries == 0


def test_a_launcher_that_does_not_say_what_it_runs_is_no_zero() -> None:
    server = summary(_scraper_after((0, {"a": "launcher_ready 1"})), [])
    assert server is not None
    assert server.pinned_java_libraries is None
