"""A batch as spans, in the JSON of https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding.

    server   of each sampled request, from arrival to answer; its parent is the sender's span
      queue    until it had its place in a batch
      batch    in the trace of the batch's first sampled request: what the worker did, with links to
               the server spans of the others, which link to it
        decode, predict, …   the handler's steps, by the names of its methods
        encode               TorchServe, of the answers

``server`` and ``queue`` are derived: TorchServe's front end has no span, its log has their times.
"""

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from .log_lines import Answer, Batch

Span = dict[str, Any]

INTERNAL, SERVER = 1, 2  # SpanKind
_ERROR = {"code": 2}  # StatusCode
_GRPC_FAILURES = (2, 13, 14, 15)  # UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS
_MS = 1_000_000  # ns


def spans(batch: Batch) -> Iterator[Span]:
    """The spans of a batch, each complete but for its resource."""
    name, _, version = batch.model.rpartition("_")
    about = {"torchserve.model": name, "torchserve.version": version}
    answers = dict(enumerate(batch.answers)) if len(batch.answers) == batch.size else {}
    places = sorted(batch.parents)
    servers = {place: secrets.token_hex(8) for place in places}
    traces = {place: batch.parents[place].partition("-")[0] for place in places}
    # Not to its own parent: Jaeger then shows the link in place of the parent.
    links = [_link(traces[place], servers[place]) for place in places[1:]]
    first, batch_id = places[0], secrets.token_hex(8)
    last = max((answer.at for answer in batch.answers), default=batch.handed_over)
    start, end = batch.start or batch.handed_over, batch.end or last
    for place in places:
        trace, parent = batch.parents[place].split("-")
        answer = answers.get(place)
        begin, taken, over = _times(answer, start, end)
        yield _span(
            trace, servers[place], parent, f"torchserve {name}", begin, over, SERVER,
            {**about, **_request(answer), "torchserve.derived": True},
            error=_is_failure(answer, batch),
            links=[_link(traces[first], batch_id)] if place != first else [],
        )  # fmt: skip
        if taken is not None:
            yield _span(
                trace, secrets.token_hex(8), servers[place], "queue", begin, taken, INTERNAL,
                {**about, "torchserve.derived": True},
            )  # fmt: skip
    size = {"torchserve.batch.size": batch.size, "torchserve.worker": int(batch.worker)}
    raised = {"error.type": batch.error or "worker ended"} if batch.code != 200 else {}
    yield _span(
        traces[first], batch_id, servers[first], "batch", start, end, INTERNAL,
        {**about, **size, **raised}, error=batch.code != 200, links=links,
    )  # fmt: skip
    for step, step_start, step_end, error in batch.steps:
        yield _span(
            traces[first], secrets.token_hex(8), batch_id, step, step_start, step_end, INTERNAL,
            {"error.type": error} if error else {}, error=bool(error),
        )  # fmt: skip


def _times(answer: Answer | None, start: int, end: int) -> tuple[int, int | None, int]:
    """A request's arrival, its place in a batch (None if unknown), and its answer."""
    if answer is None:
        return start, None, end
    over = max(answer.at + _MS - 1, end)  # the log cuts to the millisecond
    if answer.waited is None or answer.worked is None:
        return start, None, over
    taken = min(over - answer.worked, start)
    return taken - answer.waited, taken, over


def _request(answer: Answer | None) -> dict[str, object]:
    """By the names of OpenTelemetry's semantic conventions."""
    if answer is None:
        return {}
    if answer.protocol == "grpc":
        return {"rpc.system": "grpc", "rpc.grpc.status_code": answer.code}
    path = answer.path.partition("?")[0]
    method = {"http.request.method": answer.method, "url.path": path}
    return {**method, "http.response.status_code": answer.code}


def _is_failure(answer: Answer | None, batch: Batch) -> bool:
    if answer is None:
        return batch.code != 200
    return answer.code in _GRPC_FAILURES if answer.protocol == "grpc" else answer.code >= 500


def _link(trace: str, span: str) -> dict[str, str]:
    return {"traceId": trace, "spanId": span}


def _span(
    trace: str,
    span: str,
    parent: str,
    name: str,
    start: int,
    end: int,
    kind: int,
    about: Mapping[str, object],
    *,
    error: bool = False,
    links: list[dict[str, str]] | None = None,
) -> Span:
    span_fields: Span = {"traceId": trace, "spanId": span, "parentSpanId": parent, "name": name}
    span_fields |= {"kind": kind, "startTimeUnixNano": str(start), "endTimeUnixNano": str(end)}
    span_fields |= {"attributes": attributes(about), "links": links or []}
    return span_fields | ({"status": _ERROR} if error else {})


def attributes(values: Mapping[str, object]) -> list[dict[str, object]]:
    """Values as OTLP's KeyValue; a 64-bit integer is text there."""
    return [{"key": key, "value": _value(content)} for key, content in values.items()]


def _value(content: object) -> dict[str, object]:
    if isinstance(content, bool):
        return {"boolValue": content}
    return {"intValue": str(content)} if isinstance(content, int) else {"stringValue": str(content)}
