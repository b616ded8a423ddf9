"""Each line of the log gets the trace of its request, in whatever order two threads log."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.launcher.event import Event
from harness.trace_export.trace_ids import TraceIds
from tests.launcher.lines import (
    ANSWERED,
    BATCH,
    CRASHED,
    LOAD,
    LOADED,
    STARTED,
    access,
    answer,
    log_line,
    own,
)

IDS = ["0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736"]
HOUR = 3600.0


def record(number: int, *ids: str, size: int = 0) -> Event:
    """What a worker prints before a batch whose requests have these traces; empty: not sampled."""
    parents = {str(place): f"{each}-b7ad6b7169203331" for place, each in enumerate(ids) if each}
    return _record_line(batch=number, size=size or len(ids), parents=parents)


def after(number: int) -> Event:
    """What it prints after a batch with a sampled request."""
    return _record_line(batch=number, start=1, end=2, code=200, error="", steps=[])


def _record_line(**keys: object) -> Event:
    return log_line(f"[SPANS]{json.dumps(keys)}")


def output_of(lines: Iterable[Event], longest: float = HOUR) -> list[Event]:
    """What has gone on by the last of the lines."""
    ids = TraceIds(longest)
    return [each for line in lines for each in ids.read(line)]


def traces(lines: Iterable[Event]) -> list[str]:
    """Of the answers among them."""
    return [each["trace_id"] for each in lines if each["status"]]


def test_an_answer_and_what_its_handler_prints_have_the_trace() -> None:
    named = log_line("names one itself") | {"trace_id": IDS[1]}
    lines = [own(BATCH), record(1, IDS[0]), log_line("printed"), named, after(1)]
    lines += [
        log_line("in a thread of its own"),
        answer(200),
        own(BATCH),
        record(2, ""),
        answer(200),
    ]
    by_message = {each["message"]: each["trace_id"] for each in output_of(lines)}
    assert by_message["printed"] == IDS[0]
    assert by_message["names one itself"] == IDS[1]
    assert by_message["in a thread of its own"] == ""
    assert traces(output_of(lines)) == [IDS[0], ""]


def test_of_several_requests_each_answer_has_its_own_trace() -> None:
    lines = [own(BATCH), record(1, IDS[0], "", IDS[1]), log_line("printed")]
    lines += [answer(200) for _ in range(3)]
    assert output_of(lines)[2]["trace_id"] == "", "it may be of any of the three"
    assert traces(output_of(lines)) == [IDS[0], "", IDS[1]]


def test_an_answer_waits_for_a_record_that_is_read_later() -> None:
    thread = [own(BATCH), answer(200), own(ANSWERED), own(BATCH)]
    assert [each["message"] for each in output_of(thread)] == [BATCH]
    assert output_of([*thread, record(1, IDS[0])])[-3:] == thread[1:]
    assert traces(output_of([*thread, record(1, IDS[0])])) == [IDS[0]]


def test_what_other_threads_log_does_not_wait() -> None:
    others = [access("GET", "/models", 200), log_line("printed", "stderr"), answer(200, "9001")]
    lines = [own(BATCH), answer(200), *others]
    assert output_of(lines)[1:] == others


Batches = list[tuple[list[bool], int]]


@given(
    st.lists(st.tuples(st.lists(st.booleans(), min_size=1, max_size=3), st.integers(0, 2))),
    st.lists(st.booleans()),
)
def test_the_order_of_two_threads_decides_nothing(batches: Batches, turns: list[bool]) -> None:
    """TorchServe says that it hands a batch over before the worker can print of it."""
    thread, output, expected = [], [], []
    for number, (sampled, printed) in enumerate(batches, 1):
        ids = [f"{number:016x}{place:016x}" if each else "" for place, each in enumerate(sampled)]
        expected += ids
        thread.append([own(BATCH), *(answer(200) for _ in ids), own(ANSWERED)])
        lines = [record(number, *ids), *(log_line("printed") for _ in range(printed))]
        output.append([*lines, *([after(number)] if any(sampled) else [])])
    logged = merge(thread, output, turns)

    lines = output_of(logged)

    assert traces(lines) == expected
    for stream in ("", "stdout"):
        of_stream = [id(each) for each in logged if each["stream"] == stream]
        assert [id(each) for each in lines if each["stream"] == stream] == of_stream


def merge(thread: list[list[Event]], output: list[list[Event]], turns: list[bool]) -> list[Event]:
    """Both in one log: each in its order, and nothing of a batch before it was handed over."""
    first = [each for lines in thread for each in lines]
    second = [(number, each) for number, lines in enumerate(output, 1) for each in lines]
    logged, handed = [], 0
    while first or second:
        is_late = turns.pop() if turns else False
        if first and (is_late or not second or second[0][0] > handed):
            logged.append(first.pop(0))
            handed += logged[-1]["message"] == BATCH
        else:
            logged.append(second.pop(0)[1])
    return logged


@pytest.mark.parametrize(
    "spoiled", ['{"batch":1,"si printed', "5", "[]", '{"parents":5}', "[" * 10_000]
)
def test_an_answer_waits_for_a_spoiled_record_until_the_next_one(spoiled: str) -> None:
    lines = [own(BATCH), log_line(f"[SPANS]{spoiled}"), answer(200), own(BATCH)]
    assert traces(output_of(lines)) == []
    assert traces(output_of([*lines, record(2, IDS[0]), answer(200)])) == ["", IDS[0]]


def test_no_line_waits_longer_than_it_may() -> None:
    lines = [own(BATCH), answer(200), own(ANSWERED)]
    assert output_of(lines, longest=0.0) == lines


def test_at_the_end_every_line_goes_on() -> None:
    ids = TraceIds(HOUR)
    lines = [own(BATCH), answer(200), own(ANSWERED), own(BATCH, "9001"), answer(200, "9001")]
    gone = [each for line in lines for each in ids.read(line)]
    assert sorted(map(id, [*gone, *ids.release()])) == sorted(map(id, lines))


def test_of_a_worker_so_many_lines_wait_and_no_more() -> None:
    lines = [own(BATCH), *(answer(200) for _ in range(6000))]
    assert len(output_of(lines)) == 1001


def test_a_new_process_counts_its_batches_anew() -> None:
    first = [own(STARTED), own(LOAD), own(LOADED), own(BATCH), record(1, IDS[0]), answer(500)]
    second = [own(CRASHED), own(STARTED), own(LOAD), own(LOADED), own(BATCH), answer(200)]
    assert traces(output_of([*first, *second])) == [IDS[0]]
    assert traces(output_of([*first, *second, record(1, IDS[1])])) == IDS


def test_what_a_process_leaves_unrecorded_goes_on_when_the_next_one_starts() -> None:
    lines = [own(STARTED), own(BATCH), answer(500), own(CRASHED), own(STARTED)]
    assert output_of(lines) == lines
