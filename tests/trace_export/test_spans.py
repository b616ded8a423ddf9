"""Parents, links, times and errors of the spans of a batch."""

from dataclasses import replace
from typing import Any

import pytest

from harness.trace_export.log_lines import Answer, Batch
from harness.trace_export.spans import spans
from tests.support.collector import plain

MS = 1_000_000
AT = 1_700_000_000_000 * MS
OK = Answer(AT + 100 * MS, "POST", "/predictions/slow?x=secret", "http", 200, 30 * MS, 60 * MS)
GRPC = Answer(AT + 100 * MS, "gRPC", "Predictions", "grpc", 0, 30 * MS, 60 * MS)


def batch(*answers: Answer, sampled: tuple[int, ...] = (0,), **more: Any) -> Batch:
    return Batch(
        **{
            "worker": "9000",
            "model": "slow_1_1.0",
            "number": 1,
            "handed_over": AT + 42 * MS,
            "size": len(answers),
            "parents": {place: f"{place + 1:032x}-{place + 1:016x}" for place in sampled},
            "answers": list(answers),
            "start": AT + 45 * MS,
            "end": AT + 95 * MS,
            "code": 200,
            "steps": [
                ("decode", AT + 46 * MS, AT + 50 * MS, ""),
                ("predict", AT + 50 * MS, AT + 90 * MS, ""),
            ],
            **more,
        }
    )


def by_name(of: Batch) -> dict[str, list[dict[str, Any]]]:
    names: dict[str, list[dict[str, Any]]] = {}
    for span in spans(of):
        names.setdefault(span["name"], []).append(span)
    return names


def milliseconds(span: dict[str, Any]) -> tuple[int, int]:
    start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    return (start - AT) // MS, (end - start + MS // 2) // MS


def test_a_request_is_one_trace_below_the_span_of_its_sender() -> None:
    names = by_name(batch(OK))
    (server,), (queue,), (work,) = names["torchserve slow_1"], names["queue"], names["batch"]
    assert server["parentSpanId"] == f"{1:016x}"
    assert {span["traceId"] for each in names.values() for span in each} == {f"{1:032x}"}
    assert [queue["parentSpanId"], work["parentSpanId"]] == [server["spanId"]] * 2
    assert [names[step][0]["parentSpanId"] for step in ("decode", "predict")] == [
        work["spanId"]
    ] * 2


def test_times_are_those_of_the_log_and_of_the_worker() -> None:
    names = by_name(batch(OK))
    assert milliseconds(names["torchserve slow_1"][0]) == (10, 90)
    assert milliseconds(names["queue"][0]) == (10, 30)
    assert milliseconds(names["batch"][0]) == (45, 50)
    assert milliseconds(names["predict"][0]) == (50, 40)


def test_what_is_derived_says_so_and_a_query_is_left_out() -> None:
    names = by_name(batch(OK))
    server, queue, work = (
        plain(names[name][0]) for name in ("torchserve slow_1", "queue", "batch")
    )
    assert server["torchserve.derived"] and queue["torchserve.derived"]
    assert "torchserve.derived" not in work
    assert server["url.path"] == "/predictions/slow"
    assert work["torchserve.batch.size"] == "1"


def test_a_batch_is_below_its_first_request_and_links_to_the_others() -> None:
    names = by_name(batch(OK, OK, OK, sampled=(1, 2)))
    first, second = names["torchserve slow_1"]
    (work,) = names["batch"]
    assert (work["traceId"], work["parentSpanId"]) == (first["traceId"], first["spanId"])
    assert work["links"] == [{"traceId": second["traceId"], "spanId": second["spanId"]}]
    assert second["links"] == [{"traceId": work["traceId"], "spanId": work["spanId"]}]
    assert first["links"] == []
    assert plain(work)["torchserve.batch.size"] == "3"


FAILED = replace(OK, code=503)
CASES = [
    (batch(OK), (False, False)),
    (batch(FAILED, code=503, error="ValueError"), (True, True)),
    (batch(FAILED), (True, False)),
    (batch(replace(OK, code=400)), (False, False)),
    (batch(GRPC), (False, False)),
    (batch(replace(GRPC, code=13, waited=None), code=503), (True, True)),
    (batch(replace(OK, code=500), code=0, start=0, end=0, steps=[]), (True, True)),
]


@pytest.mark.parametrize(
    ("of", "failed"),
    CASES,
    ids=["fine", "raised", "one answer", "bad input", "gRPC", "gRPC raised", "crash"],
)
def test_what_failed_is_marked(of: Batch, failed: tuple[bool, bool]) -> None:
    names = by_name(of)
    server, work = names["torchserve slow_1"][0], names["batch"][0]
    assert ("status" in server, "status" in work) == failed
    assert int(server["endTimeUnixNano"]) >= int(work["endTimeUnixNano"]) - MS


def test_without_an_answer_for_each_request_nothing_is_derived_of_them() -> None:
    names = by_name(batch(OK, size=2))
    assert "queue" not in names
    assert milliseconds(names["torchserve slow_1"][0]) == milliseconds(names["batch"][0])
