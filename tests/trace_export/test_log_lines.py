"""What is made of TorchServe's own lines and the worker's records, in whatever order they come."""

import itertools
import json

import pytest

from harness.launcher.event import Event
from harness.trace_export.log_lines import Batch, LogLines
from tests.launcher.lines import ANSWERED, BATCH, CRASHED, STARTED, TIMES, answer, log_line, own

PARENT = f"{1:032x}-{2:016x}"


def before(number: int = 1, size: int = 1, *places: int) -> Event:
    parents = {str(place): PARENT for place in places or (0,)}
    return record(batch=number, size=size, parents=parents)


def after(number: int = 1, code: int = 200) -> Event:
    steps = [["predict", 20, 80, ""]]
    return record(batch=number, start=10, end=90, code=code, error="", steps=steps)


def record(**values: object) -> Event:
    return log_line(f"[SPANS]{json.dumps(values)}")


def times(waited: int) -> Event:
    return own(f"Waiting time ns: {waited}, Backend time ns: 5000000", logger="RestJob")


def read(*lines: Event) -> list[Batch]:
    log = LogLines()
    return list(itertools.chain.from_iterable(log.read(json.dumps(each)) for each in lines))


SERVER = [own(BATCH), answer(200), own(TIMES, logger="RestJob"), own(ANSWERED)]
WORKER = [before(), after()]
ORDERS = [
    [SERVER[0], *WORKER, *SERVER[1:]],
    [*SERVER[:2], *WORKER, *SERVER[2:]],
    [*SERVER, *WORKER],
    [*SERVER, own(BATCH), *WORKER],
    [SERVER[0], WORKER[0], *SERVER[1:], own(BATCH), answer(500), WORKER[1]],
]


@pytest.mark.parametrize("lines", ORDERS, ids=["as it happens", "late", "last", "next", "split"])
def test_a_batch_is_complete_whichever_thread_is_heard_first(lines: list[Event]) -> None:
    (batch,) = read(own(STARTED), *lines)
    (only,) = batch.answers
    assert (only.code, only.path, only.waited) == (200, "/predictions/slow", 40_000_000)
    assert (batch.model, batch.worker, batch.size, batch.parents) == (
        "slow_1.0",
        "9000",
        1,
        {0: PARENT},
    )
    assert (batch.start, batch.end, batch.steps) == (10, 90, [("predict", 20, 80, "")])


def test_answers_have_the_order_of_the_batch() -> None:
    lines = [answer(200), times(1), answer(503), times(2), answer(200), times(3)]
    (batch,) = read(own(BATCH), before(1, 3, 1), *lines, after(), own(ANSWERED))
    assert [(each.code, each.waited) for each in batch.answers] == [(200, 1), (503, 2), (200, 3)]


def test_batches_without_a_sampled_request_count_and_are_left_out() -> None:
    unsampled = [own(BATCH), answer(200), times(7), own(ANSWERED)]
    sampled = [own(BATCH), before(11), answer(200), times(8), after(11), own(ANSWERED)]
    (batch,) = read(*unsampled * 10, *sampled)
    assert (batch.number, batch.answers[0].waited) == (11, 8)


def test_the_count_begins_again_with_the_worker() -> None:
    first = [own(BATCH), answer(200), times(7), own(ANSWERED)] * 3
    (batch,) = read(
        own(STARTED), *first, own(CRASHED), own(STARTED), own(BATCH), *WORKER, *SERVER[1:]
    )
    assert batch.number == 1


def test_a_batch_whose_worker_ends_is_told_without_its_second_record() -> None:
    (batch,) = read(own(BATCH), before(), answer(500), times(9), own(CRASHED))
    assert (batch.code, batch.end, batch.answers[0].code) == (0, 0, 500)


def test_workers_do_not_mix() -> None:
    other = [own(BATCH, "9001"), answer(503, "9001"), own(ANSWERED, "9001")]
    (batch,) = read(SERVER[0], *other, WORKER[0], *SERVER[1:], WORKER[1])
    assert (batch.worker, batch.answers[0].code) == ("9000", 200)


def test_what_a_handler_prints_into_a_record_costs_this_one_alone() -> None:
    torn = log_line('[SPANS]{"batch":1,"size":1,"par')
    (batch,) = read(
        own(BATCH),
        torn,
        answer(200),
        own(ANSWERED),
        own(BATCH),
        before(2),
        answer(200),
        after(2),
        own(ANSWERED),
    )
    assert batch.number == 2
