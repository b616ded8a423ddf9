"""The gRPC client, against a real gRPC server that speaks TorchServe's inference API."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from harness import loadtest
from harness.loadtest import ServingGroup, Target
from harness.models.answer import Expected, Tolerance
from harness.models.samples import PreparedSample
from tests.loadtest.cases import profile

# What protoc makes of TorchServe's inference.proto: model_name = 1, input = map field 3.
REQUEST = b"\x0a\x05adder" + b"\x1a\x0b\x0a\x04data\x12\x03two"
METHOD = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"


class Predictions(grpc.GenericRpcHandler):
    """Answers the one right request with {"sum": 2}; anything else is NOT_FOUND."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method == METHOD.replace("Predictions", "StreamPredictions"):
            return grpc.unary_stream_rpc_method_handler(self._parts)
        if details.method != METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _parts(self, request: bytes, _: grpc.ServicerContext) -> Iterator[bytes]:
        """The version and each input, in the order of their names."""
        for part in (b"v1", b"k", b"data"):
            if part in request:
                yield b"\x0a" + bytes([len(part)]) + part

    def _answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        if context._rpc_event.call_details.host == b"vision.example.com":  # type: ignore[attr-defined]
            return b"\x0a\x0d" + b'{"sum": "it"}'
        if ("authorization", f"Bearer {self._secret}") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
        if request != REQUEST:
            context.abort(grpc.StatusCode.NOT_FOUND, f"not the request expected: {request!r}")
        answer = b'{"sum": 2}'
        return b"\x0a" + bytes([len(answer)]) + answer


@pytest.fixture
def address() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Predictions("hunter2"),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(None)


def sample(model: str, answer: int) -> PreparedSample:
    return PreparedSample(
        model=model,
        version="1",
        name="two",
        content_type="text/plain",
        body=b"two",
        expected=Expected(answer={"sum": answer}, tolerance=Tolerance()),
    )


def test_a_prediction_is_asked_for_and_its_answer_checked(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    load = profile(
        protocol="grpc",
        auth={"env": "TOKEN"},
        mix=[{"model": "adder"}, {"model": "other"}],
        judge={"lateness": 500, "drift": 100, "generatorCpu": 1},
    )
    samples = {"adder": (sample("adder", 2),), "other": (sample("other", 2),)}
    report = loadtest.run(load, Target(address), samples, tmp_path)
    adder, other = report.mix
    assert adder.requests > 20
    assert adder.failures == 0
    assert other.failures == other.requests
    assert [group.kind for group in report.failure_groups] == ["gRPC NOT_FOUND"]


def test_a_model_of_another_group_is_asked_at_its_host(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    load = profile(protocol="grpc", auth={"env": "TOKEN"}, mix=[{"model": "adder"}, {"model": "b"}])
    vision = ServingGroup("vision", frozenset("b"), grpc_host="vision.example.com")
    target = Target(address, groups=(vision,))
    expected = {"adder": (sample("adder", 2),), "b": (sample("b", 2),)}
    adder, other = loadtest.run(load, target, expected, tmp_path).mix
    assert adder.failures == 0
    assert other.failures == other.requests > 0
    assert (adder.group, other.group) == (None, "vision")


def test_groups_with_addresses_of_their_own_are_asked_there(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    load = profile(protocol="grpc", auth={"env": "TOKEN"}, mix=[{"model": "adder"}, {"model": "b"}])
    elsewhere = ServingGroup("vision", frozenset("b"), url="http://127.0.0.1:9")  # discard: closed
    expected = {"adder": (sample("adder", 2),), "b": (sample("b", 2),)}
    report = loadtest.run(load, Target(address, groups=(elsewhere,)), expected, tmp_path)
    adder, other = report.mix
    assert adder.failures == 0
    assert other.failures == other.requests > 0
    assert [group.kind for group in report.failure_groups] == ["gRPC UNAVAILABLE"]


def test_a_wrong_answer_is_a_failure(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    load = profile(protocol="grpc", auth={"env": "TOKEN"}, mix=[{"model": "adder"}])
    report = loadtest.run(load, Target(address), {"adder": (sample("adder", 3),)}, tmp_path)
    assert report.wrong_answers == report.requests > 0
    assert report.failure_groups[0].example.startswith("sum: 2, not 3")


def test_any_model_is_asked_by_its_path_and_as_a_stream(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    raw = {"name": "raw", "path": "/predictions/adder", "body": "two", "contains": '"sum": 2'}
    form = {"data": "two", "k": "3"}
    stream = {"name": "stream", "path": "/predictions/adder/v1", "form": form, "stream": True}
    load = profile(
        protocol="grpc",
        auth={"env": "TOKEN"},
        arrivals="closed",
        mix=[{"request": raw}, {"request": {**stream, "contains": "v1kdata"}}],
        stages=[{"kind": "hold", "users": 2, "requests": 20}],
        judge={"lateness": 500, "drift": 100, "generatorCpu": 1},
    )
    report = loadtest.run(load, Target(address), {}, tmp_path)
    assert report.failure_groups == []
    assert all(part.requests for part in report.mix)
