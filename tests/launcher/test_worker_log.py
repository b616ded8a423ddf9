"""What the launcher understands of TorchServe's log; the lines are TorchServe's own."""

import pytest

from harness.launcher.worker_log import WorkerLog

STARTED = "State change null -> WORKER_STARTED"
LOADED = "State change WORKER_STARTED -> WORKER_MODEL_LOADED"
CRASHED = "State change WORKER_MODEL_LOADED -> WORKER_STOPPED"
FAILED = "State change WORKER_STARTED -> WORKER_STOPPED"
BATCH = "Flushing req.cmd PREDICT repeats 1 to backend at: 1795454868810"
STREAM = "Flushing req.cmd STREAMPREDICT repeats 1 to backend at: 1795454868810"
LOAD = "Flushing req.cmd LOAD repeats 1 to backend at: 1795454859847"
ANSWERED = "Backend response time: 307"
END = "Stopped Scanner - W-9000-slow_1.0-stdout"


def own(message: str) -> str:
    """A line of the worker's thread in TorchServe."""
    text = f"W-9000-slow_1.0 {message}" if message.startswith("State") else message
    return f"2026-11-23T17:41:14,279 DEBUG W-9000-slow_1.0 WorkerThread - {text}"


def said(message: str, stream: str = "stdout", logger: str = "MODEL_LOG") -> str:
    """A line that the worker printed, or that was logged of its stream."""
    return f"2026-11-23T17:41:14,280 INFO  W-9000-slow_1.0-{stream} {logger} - {message}"


def follow(*lines: str) -> WorkerLog:
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
        said("import pynvml  # type: ignore[import]", "stderr"),
        said("Traceback (most recent call last):"),
        said("ValueError: the weights have the wrong shape"),
        said("Backend worker process died."),
        said("Traceback (most recent call last):"),
        said("RuntimeError: 500 - Unknown exception"),
        own(FAILED),
    )
    assert log.failure() is None  # it may have more to say
    log.read(said(END, logger="WorkerLifeCycle"))
    assert log.failure() == (
        "slow_1.0 cannot be loaded: ValueError: the weights have the wrong shape\n"
        "Traceback (most recent call last):\n"
        "ValueError: the weights have the wrong shape"
    )


def test_without_a_traceback_the_last_lines_are_told() -> None:
    log = follow(own(STARTED), said("Killed"), own(FAILED), said(END, logger="WorkerLifeCycle"))
    assert log.failure() == (
        "slow_1.0 cannot be loaded: killed, for want of memory?\n"
        "Killed\n"
        "killed, for want of memory?"
    )


def test_a_crash_after_the_load_is_a_restart_and_no_failure() -> None:
    log = follow(own(STARTED), own(LOADED), own(CRASHED), said(END, logger="WorkerLifeCycle"))
    assert log.failure() is None
    assert log.workers["9000"].restarts == 1


def test_a_model_cannot_speak_for_torchserve() -> None:
    log = follow(said(f"W-9000-slow_1.0 {FAILED}"), said(BATCH), said(END))
    assert log.failure() is None
    assert not log.busy()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (own(BATCH), False),
        (own(ANSWERED), False),
        (own(LOADED), True),
        (said("a line of the model"), True),
        (
            '2026-11-23T17:27:02,150 INFO  e-3 ACCESS_LOG - /127.0.0.1:1 "GET /models/a" 200 4',
            False,
        ),
        (
            '2026-11-23T17:27:02,150 INFO  e-3 ACCESS_LOG - /10.0.0.9:1 "POST /predictions/a" 200',
            True,
        ),
        ("\tat java.util.concurrent.FutureTask.run(FutureTask.java:264)", True),
        ("Model server started.", True),
    ],
)
def test_only_the_launchers_own_noise_is_kept_back(line: str, shown: bool) -> None:
    assert WorkerLog(lambda: None).read(line) is shown


def test_last_words_are_the_errors_or_else_the_last_lines() -> None:
    assert follow("one", "two").last_words() == "one\ntwo"
    error = (
        "2026-11-23T17:58:55,268 ERROR main SnapshotManager - Unexpected end of ZLIB input stream"
    )
    assert follow("one", error, "two").last_words() == error
