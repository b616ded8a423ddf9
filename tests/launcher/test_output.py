"""One JSON object a line, whatever comes: nothing lost, and in order."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.launcher import event
from harness.launcher.event import Event
from harness.launcher.output import Output
from tests.launcher.lines import log_line

FRAMES = [
    "Traceback (most recent call last):",
    '  File "/tmp/models/1/handler.py", line 3, in handle',
    "    raise KeyError(key)",
    "KeyError: 'first'",
]
DURING = "During handling of the above exception, another exception occurred:"
CHAIN = [*FRAMES, "", DURING, "", *FRAMES[:3], "ValueError: then"]
Records = Callable[[], list[dict[str, object]]]


@pytest.fixture
def output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Output:
    capfd.readouterr()
    return Output(tmp_path)


@pytest.fixture
def records(output: Output, capfd: pytest.CaptureFixture[str]) -> Records:
    """What has left so far."""

    def read() -> list[dict[str, object]]:
        output.flush(10)
        return [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    return read


def put(output: Output, *events: Event) -> None:
    for each in events:
        output.put(each)


@pytest.mark.parametrize("lines", [FRAMES, CHAIN], ids=["one", "chain"])
def test_a_traceback_is_one_record(output: Output, records: Records, lines: list[str]) -> None:
    put(output, *map(log_line, ["before", *lines, "after"]))
    before, traceback, after = records()
    assert (before["message"], after["message"]) == ("before", "after")
    assert traceback["traceback"] == "\n".join(lines)
    assert traceback["message"] == lines[-1]
    assert traceback["level"] == "ERROR"


def test_tracebacks_of_two_workers_are_not_mixed(output: Output, records: Records) -> None:
    for line in FRAMES:
        put(output, log_line(line), log_line(line, number="9001"))
    assert [each["worker"] for each in records()] == ["9000", "9001"]


def test_a_traceback_that_nothing_follows_is_not_kept_for_long(
    output: Output, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.launcher.output._LONGEST", 0.0)
    put(output, *map(log_line, FRAMES), log_line("of another", number="9001"))
    output.stdout.flush(10)
    assert "KeyError: 'first'" in capfd.readouterr().out


def test_the_level_is_read_again(
    tmp_path: Path, output: Output, capfd: pytest.CaptureFixture[str]
) -> None:
    def messages() -> str:
        output.read_level()
        for level in ("DEBUG", "INFO", "ERROR"):
            output.log(level, level)
        output.flush(10)
        return " ".join(json.loads(line)["message"] for line in capfd.readouterr().err.splitlines())

    assert messages() == "INFO ERROR"
    (tmp_path / "log-level").write_text("debug\n")
    assert messages() == "DEBUG INFO ERROR"
    (tmp_path / "log-level").write_text("error")
    assert messages() == "ERROR"
    (tmp_path / "log-level").write_text("verbose")
    assert messages() == "INFO ERROR", "a word that is not a level is the default"


@pytest.mark.parametrize(
    "line",
    ["", "null", "[]", '{"message": 1}', '{"a":', "[" * 100_000, '{"level": "INFO", "x": null}'],
    ids=["empty", "null", "list", "number", "cut", "deep", "null-value"],
)
def test_what_is_no_event_is_a_message_of_the_jvm(line: str) -> None:
    record = event.read(line)
    assert (record["logger"], record["message"]) == ("jvm", line)
    assert json.loads(event.as_json(record))["logger"] == "jvm"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["9000", "9001"]), st.binary(max_size=60)), max_size=30))
def test_whatever_is_printed_comes_out_whole_and_in_order(printed: list[tuple[str, bytes]]) -> None:
    texts = [(worker, data.decode(errors="replace")) for worker, data in printed]
    texts += [(worker, line) for worker, _ in printed[:2] for line in CHAIN]
    read, write = os.pipe()
    with os.fdopen(read) as out, os.fdopen(write, "w") as stdout, pytest.MonkeyPatch.context() as m:
        m.setattr("sys.stdout", stdout)
        output = Output(Path("/nonexistent"))
        put(output, *(event.read(json.dumps(log_line(t, number=w))) for w, t in texts))
        output.flush(10)
        stdout.close()
        every = [json.loads(line) for line in out.read().splitlines()]
    for worker in ("9000", "9001"):
        lines = [
            each.get("traceback", each.get("message", ""))
            for each in every
            if each["worker"] == worker
        ]
        assert "\n".join(lines) == "\n".join(text for w, text in texts if w == worker)
