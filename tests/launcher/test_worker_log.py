"""What the launcher understands of TorchServe's log; the lines are TorchServe's own."""

import pytest

from harness.launcher.event import Event
from harness.launcher.worker_log import WorkerLog
from tests.launcher.lines import (
    ANSWERED,
    BATCH,
    CRASHED,
    END,
    FAILED,
    LOAD,
    LOADED,
    RETRY,
    STARTED,
    STREAM,
    TIMES,
    access,
    answer,
    event,
    log_line,
    own,
)

REQUEST = "8c1d9f0e-31ae-4c53-9c0f-0d7d8b1f2a11"


def follow(*lines: Event) -> WorkerLog:
    log = WorkerLog(lambda: None)
    for line in lines:
        log.read(line)
    return log


@pytest.mark.parametrize(
    ("messages", "busy"),
    [
        ([LOAD], False),
        ([LOAD, ANSWERED, LOADED, BATCH], True),
        ([STREAM], True),
        ([BATCH, ANSWERED], False),
        ([BATCH, CRASHED], False),
        ([BATCH, ANSWERED, BATCH], True),
    ],
    ids=["loading", "batch", "stream", "answered", "crashed", "next"],
)
def test_a_worker_is_busy_from_a_batch_to_its_answer(messages: list[str], busy: bool) -> None:
    assert follow(*map(own, messages)).busy() is busy


def test_a_failed_load_is_told_by_its_traceback() -> None:
    log = follow(
        own(STARTED),
        log_line("import pynvml  # type: ignore[import]", "stderr"),
        log_line("Traceback (most recent call last):"),
        log_line("ValueError: the weights have the wrong shape"),
        log_line("Backend worker process died."),
        log_line("Traceback (most recent call last):"),
        log_line("RuntimeError: 500 - Unknown exception"),
        own(FAILED),
    )
    assert log.failure() is None  # it may have more to say
    log.read(log_line(END, logger="WorkerLifeCycle"))
    assert log.failure() == (
        "slow_1.0 cannot be loaded: ValueError: the weights have the wrong shape"
    )


CHAINED = "During handling of the above exception, another exception occurred:"
FAILED_IMPORT = "ModuleNotFoundError: No module named '{}'"


@pytest.mark.parametrize(
    ("causes", "headline"),
    [
        (["KeyError: 'a'", "RuntimeError: late"], "KeyError: 'a'"),
        (  # TorchServe looks for a handler of its own when a file's import failed
            [
                FAILED_IMPORT.format("onnxruntime.x"),
                FAILED_IMPORT.format("ts.torch_handler.handler"),
            ],
            (
                "ModuleNotFoundError: No module named 'onnxruntime.x': the image has no package "
                "with onnxruntime; name it in models/slow/requirements.in and run "
                "`make requirements`, or put its files into the archive (extraFiles)"
            ),
        ),
        (
            [FAILED_IMPORT.format("image_classifier"), "OSError: no such file"],
            "OSError: no such file",
        ),
    ],
)
def test_the_first_cause_is_the_headline(causes: list[str], headline: str) -> None:
    lines = ["Traceback (most recent call last):", causes[0], ""]
    for cause in causes[1:]:
        lines += [CHAINED, "", "Traceback (most recent call last):", cause]
    log = follow(own(STARTED), *(log_line(line) for line in lines), own(FAILED))
    log.read(log_line(END, logger="WorkerLifeCycle"))
    assert log.failure() == f"slow_1.0 cannot be loaded: {headline}"


def test_without_a_traceback_the_last_lines_are_told() -> None:
    attempt = [
        own(STARTED),
        log_line("Killed"),
        own(FAILED),
        log_line(END, logger="WorkerLifeCycle"),
    ]
    assert follow(*attempt, *attempt).failure() is None  # a traceback may still be read
    assert follow(*attempt, *attempt, *attempt).failure() == (
        "slow_1.0 cannot be loaded: killed: out of memory?\nKilled\nKilled\nKilled"
    )


@pytest.mark.parametrize(
    "reason",
    [
        "Backend worker did not respond in given time",
        "Worker did not load the model within 4 seconds",
    ],
)
def test_a_start_that_took_too_long_is_told_as_such(reason: str) -> None:
    java = "org.pytorch.serve.wlm"
    log = follow(
        own(STARTED),
        log_line("loading shard 1 of 9"),
        own(f"Backend worker error\n{java}.WorkerInitializationException: {reason}\n\tat {java}"),
        own(FAILED),
        log_line(END, logger="WorkerLifeCycle"),
    )
    assert log.failure() == (
        "slow_1.0 cannot be loaded: not ready in time: raise startupTimeout, in its model.yaml or "
        "in serving.yaml\nloading shard 1 of 9"
    )


def test_a_process_that_does_not_come_up_is_told_as_such() -> None:
    """TorchServe gives it two minutes, whatever startupTimeout is; then it often fails at once."""
    java, attempt = "org.pytorch.serve.wlm", own(FAILED)
    log = follow(
        own(f"Backend worker error\n{java}.WorkerInitializationException: Backend worker startup "
            f"time out.\n\tat {java}"),
        attempt,
        own(f"Backend worker error\n{java}.WorkerInitializationException: Backend stream closed."),
        attempt,
        log_line(END, logger="WorkerLifeCycle"),
    )  # fmt: skip
    assert log.failure() == (
        "slow_1.0 cannot be loaded: its process did not run within 2 minutes: the node is too busy"
    )


def test_a_crash_after_the_load_is_a_restart_and_no_failure() -> None:
    log = follow(own(STARTED), own(LOADED), own(CRASHED), log_line(END, logger="WorkerLifeCycle"))
    assert log.failure() is None
    assert log.workers["9000"].restarts == 1


def test_a_model_cannot_speak_for_torchserve() -> None:
    log = follow(log_line(f"W-9000-slow_1.0 {FAILED}"), log_line(BATCH), log_line(END))
    assert log.failure() is None
    assert not log.busy()


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (own(BATCH), "DEBUG"),
        (log_line("Backend received inference at: 1795454868"), "DEBUG"),
        (own(f"Sending response for jobId {REQUEST}"), "DEBUG"),
        (own(LOADED), "INFO"),
        (log_line("a line of the model"), "INFO"),
        (access("GET", "/models", 200, "?limit=1&mark=3"), "DEBUG"),
        (access("GET", "/models/a", 200), "INFO"),
        (event("Model server started."), "INFO"),
        (event("Unexpected end of ZLIB input stream", level="ERROR"), "ERROR"),
    ],
)
def test_noise_is_for_those_who_look_closely(line: Event, level: str) -> None:
    assert WorkerLog(lambda: None).read(line)["level"] == level


def test_log_tail_is_the_errors_or_else_the_last_lines() -> None:
    one, two = event("one"), event("two")
    assert follow(one, two).log_tail() == "one\ntwo"
    assert follow(one, event("no", level="ERROR"), two).log_tail() == "no"
    assert follow(one, event("x.y.BadException: no"), two).log_tail() == "x.y.BadException: no"


def test_a_response_has_the_id_of_its_request_and_the_batch_that_it_was_in() -> None:
    log = follow(own(STARTED), own(LOAD), own(LOADED), own(BATCH))
    log.read(own(f"Sending response for jobId {REQUEST}", logger="BatchAggregator"))
    response = log.read(answer(200))
    assert (response["request_id"], response["batch"]) == (REQUEST, "1")
    assert log.read(answer(503))["request_id"] == "", "TorchServe has told no other"


def test_what_a_model_prints_is_of_the_batch_that_its_process_has_received() -> None:
    log = follow(own(STARTED), own(LOADED), own(BATCH), own(ANSWERED), own(BATCH))
    received = log_line("Backend received inference at: 1795454868")
    assert log.read(received)["batch"] == "1", "its output is read later than TorchServe logs"
    assert log.read(log_line("printed"))["batch"] == "1"
    log.read(received)
    assert log.read(log_line("printed"))["batch"] == "2"
    log.read(own(CRASHED))
    log.read(own(STARTED))
    log.read(own(BATCH))
    log.read(received)
    assert log.read(log_line("printed"))["batch"] == "3"


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        ([answer(200)], (1, 0, 0)),
        ([answer(400), answer(418)], (2, 0, 0)),
        ([answer(503), answer(507)], (0, 2, 2)),
        ([answer(503), answer(200), answer(500)], (1, 2, 1)),
        ([log_line('/10.0.0.9:5 "POST /predictions/slow HTTP/1.1" 503 153')], (0, 0, 0)),
    ],
    ids=["good", "refused", "failed", "mixed", "printed"],
)
def test_answers_are_counted_by_worker(lines: list[Event], counts: tuple[int, int, int]) -> None:
    worker = follow(*lines).workers["9000"]
    assert (worker.answered, worker.failed, worker.failed_in_a_row) == counts


@pytest.mark.parametrize(("code", "failed"), [(0, 0), (3, 0), (5, 0), (13, 1), (14, 1)])
def test_grpc_has_codes_of_its_own(code: int, failed: int) -> None:
    keys = {"protocol": "grpc", "method": "gRPC", "path": "org.pytorch.serve/Predictions"}
    worker = follow(answer(code) | keys).workers["9000"]
    assert (worker.answered, worker.failed) == (1 - failed, failed)


def test_a_new_process_begins_without_failures() -> None:
    log = follow(own(STARTED), own(LOADED), answer(503), own(CRASHED), own(STARTED))
    assert log.workers["9000"].failed_in_a_row == 0
    assert log.workers["9000"].failed == 1


DEVICE_ERRORS = [
    "RuntimeError: CUDA error: device-side assert triggered",
    "torch.AcceleratorError: CUDA error: an illegal memory access was encountered",
    "torch.cuda.CudaError: CUDA error: uncorrectable ECC error encountered",
    "RuntimeError: CUDA error: unspecified launch failure",
    "RuntimeError: CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(…)`",
    "RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:1275",
]
OTHER_ERRORS = [
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    "RuntimeError: CUDA error: out of memory",
    "RuntimeError: CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasSgemm(…)`",
    "RuntimeError: CUDA error: invalid configuration argument",
    "RuntimeError: cuDNN error: CUDNN_STATUS_NOT_SUPPORTED",
    "ValueError: CUDA error: device-side assert triggered",
    "device-side assert triggered",
]


@pytest.mark.parametrize("line", DEVICE_ERRORS)
def test_an_error_that_a_process_does_not_get_over_is_known(line: str) -> None:
    assert follow(log_line(line)).workers["9000"].device_error == line
    assert follow(log_line(line, "stderr")).workers["9000"].device_error == line
    assert follow(log_line(line), own(STARTED)).workers["9000"].device_error is None


@pytest.mark.parametrize("line", OTHER_ERRORS)
def test_what_passes_and_what_an_input_can_say_is_no_device_error(line: str) -> None:
    assert follow(log_line(line)).workers["9000"].device_error is None


def test_a_retry_is_what_torchserve_says_it_is() -> None:
    log = follow(own(STARTED), own(LOADED), own(CRASHED))
    assert not log.workers["9000"].retried
    log.read(own(RETRY))
    assert log.workers["9000"].retried
    log.read(own(FAILED))
    assert not log.workers["9000"].retried


def test_the_launchers_own_call_marks_how_far_the_log_has_come() -> None:
    calls = (access("GET", "/models", 200, f"?limit=1&mark={number}") for number in (7, 6))
    log = follow(*calls)
    assert log.mark == 7


def test_times_of_a_request_are_those_of_its_worker() -> None:
    log = follow(own(TIMES, logger="RestJob"), own(TIMES, logger="GRPCJob"))
    worker = log.workers["9000"]
    assert worker.queued.sum == pytest.approx(0.08)
    assert worker.latency.sum == pytest.approx(2 * 0.347228103)
    assert dict(worker.latency.samples("x", "l"))['x_bucket{l,le="0.25"}'] == 0
    assert dict(worker.latency.samples("x", "l"))['x_bucket{l,le="0.5"}'] == 2


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        (access("POST", "/predictions/slow", 503), ("slow", "", "http", "503")),
        (access("POST", "/predictions/slow/1.0", 503), ("slow", "1.0", "http", "503")),
        (access("gRPC", "org.pytorch.serve.grpc.X/Predictions", 13), ("", "", "grpc", "13")),
        (access("GET", "/ping", 503), None),
    ],
)
def test_a_request_that_no_worker_got_is_counted(
    line: Event, counted: tuple[str, ...] | None
) -> None:
    assert list(follow(line).rejected) == ([counted] if counted else [])
