"""What a worker records, and that the handler notices nothing."""

import json
from typing import Any

import pytest

from harness.trace_export.worker.sitecustomize import MARK, Recorder, sampled_parents

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


def request(
    value: str | None = None, name: str = "traceparent", **inputs: object
) -> dict[str, Any]:
    """As TorchServe's worker reads it from its socket."""
    headers = [{"name": bytearray(b"accept"), "value": bytearray(b"*/*")}]
    if value is not None:
        headers.append({"name": bytearray(name.encode()), "value": bytearray(value.encode())})
    parameters = [{"name": key, "value": value} for key, value in inputs.items()]
    return {"headers": headers, "parameters": parameters}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (request(GOOD), f"{TRACE}-{SPAN}"),
        (request(GOOD, name="TraceParent"), f"{TRACE}-{SPAN}"),
        (request(traceparent=bytearray(GOOD.encode())), f"{TRACE}-{SPAN}"),
        (request(traceparent=GOOD), f"{TRACE}-{SPAN}"),
        (request(f"cc-{TRACE}-{SPAN}-01-what-comes-later"), f"{TRACE}-{SPAN}"),
        (request(f"00-{TRACE}-{SPAN}-00"), None),
        (request(), None),
        (request("00-x"), None),
        (request(f"ff-{TRACE}-{SPAN}-01"), None),
        (request(f"00-{'0' * 32}-{SPAN}-01"), None),
        (request(f"00-{TRACE}-{'0' * 16}-01"), None),
        (request(f"00-{TRACE.upper()}-{SPAN}-01"), None),
        (request(traceparent={"a": 1}), None),
        (request(traceparent=7), None),
    ],
    ids=[
        *("sampled", "case", "gRPC", "text input", "later version", "not sampled", "none", "short"),
        *("version ff", "no trace", "no span", "upper case", "an object", "a number"),
    ],
)
def test_a_request_is_sampled_by_its_traceparent(one: dict[str, Any], expected: str | None) -> None:
    assert sampled_parents([one]) == ({"0": expected} if expected else {})


class Handler:
    """Steps as TorchServe's BaseHandler has them."""

    def __init__(self) -> None:
        self.fails = False

    def preprocess(self, data: list[object]) -> list[object]:
        return data

    def inference(self, data: list[object]) -> list[object]:
        if self.fails:
            raise ValueError("with what was sent")
        return data

    def handle(self, data: list[object], _: object) -> list[object]:
        return self.inference(self.preprocess(data))


class Service:
    """What ``ts.service.Service`` does with a handler."""

    def __init__(self, entry_point: Any) -> None:
        self._entry_point = entry_point

    def predict(self, batch: list[object]) -> bytes:
        try:
            self._entry_point(batch, None)
        except ValueError:
            return (503).to_bytes(4, "big")
        return (200).to_bytes(4, "big")


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix(MARK)) for line in text.splitlines()]


def test_a_sampled_batch_is_recorded_before_and_after(capsys: pytest.CaptureFixture[str]) -> None:
    recorder, service = Recorder(), Service(Handler().handle)
    assert (
        recorder.predict(Service.predict, service, [request(), request(GOOD)])[:4] == b"\0\0\0\xc8"
    )
    first, second = records(capsys.readouterr().out)
    assert first == {"batch": 1, "size": 2, "parents": {"1": f"{TRACE}-{SPAN}"}}
    assert [step[0] for step in second["steps"]] == ["preprocess", "inference", "encode"]
    assert second["start"] <= second["steps"][0][1] <= second["steps"][-1][2] <= second["end"]
    assert (second["batch"], second["code"], second["error"]) == (1, 200, "")


def test_of_another_batch_its_size_is_told_and_nothing_is_timed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorder, service = Recorder(), Service(Handler().handle)
    entry_point = service._entry_point
    recorder.predict(Service.predict, service, [request()])
    assert records(capsys.readouterr().out) == [{"batch": 1, "size": 1, "parents": {}}]
    assert service._entry_point == entry_point
    recorder.predict(Service.predict, service, [request(GOOD)])
    assert records(capsys.readouterr().out)[0]["batch"] == 2


def test_what_the_handler_raises_is_named_without_its_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = Handler()
    handler.fails = True
    Recorder().predict(Service.predict, Service(handler.handle), [request(GOOD)])
    out = capsys.readouterr().out
    assert "with what was sent" not in out
    last = records(out)[1]
    assert (last["code"], last["error"]) == (503, "ValueError")
    assert [(step[0], step[3]) for step in last["steps"]] == [
        ("preprocess", ""),
        ("inference", "ValueError"),
    ]


def test_a_function_as_handler_is_one_step(capsys: pytest.CaptureFixture[str]) -> None:
    def handle(data: list[object], _: object) -> list[object]:
        return data

    Recorder().predict(Service.predict, Service(handle), [request(GOOD)])
    last = records(capsys.readouterr().out)[1]
    assert [step[0] for step in last["steps"]] == ["handle", "encode"]


def test_the_steps_behind_a_service_envelope_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    class Envelope:
        def __init__(self, handle_fn: Any) -> None:
            self._handle_fn = handle_fn

        def handle(self, data: list[object], context: object) -> list[object]:
            return list(self._handle_fn(data, context))

    Recorder().predict(Service.predict, Service(Envelope(Handler().handle).handle), [request(GOOD)])
    last = records(capsys.readouterr().out)[1]
    assert [step[0] for step in last["steps"]] == ["preprocess", "inference", "encode"]
