"""The clients of real pods, against servers of this machine: what they send, check and count."""

import asyncio
import contextlib
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from pathlib import Path

import grpc
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded
from hyperframe.frame import GoAwayFrame

from harness.canary import known
from harness.loadtest.generator.rpc import METHOD, messages
from harness.models.answer import Expected, Tolerance
from harness.models.samples import PreparedSample
from tests.real import closed_loop, open_loop
from tests.real.load import Answer, Load

Streams = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def _right(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


async def _send(*loads: Load) -> list[Answer]:
    argv = (sys.executable, "-m", open_loop.__name__, *(json.dumps(asdict(x)) for x in loads))
    pipe = asyncio.subprocess.PIPE
    client = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe)
    assert client.stdout
    async with asyncio.timeout(60):
        count = sum(int(each.rate * each.seconds) for each in loads)
        lines = [await client.stdout.readline() for _ in range(count)]
        rest, _ = await client.communicate(b"")
    assert (rest, client.returncode) == (b"", 0)
    return [*open_loop.read(b"".join(lines).decode())]


def _answers(server: Streams, *others: dict[str, object], **load: object) -> list[Answer]:
    """What a client makes of what a server does; ``others`` are sent at the same time."""

    async def run() -> list[Answer]:
        listener = await asyncio.start_server(server, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            first = Load("127.0.0.1", port, **{"rate": 100, "seconds": 0.4, **load})  # type: ignore[arg-type]
            return await _send(first, *(replace(first, **each) for each in others))  # type: ignore[arg-type]

    return asyncio.run(run())


def _outcomes(answers: list[Answer]) -> Counter[str]:
    return Counter(each.outcome for each in answers)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _http1(answer: Callable[[int, bytes], bytes]) -> Streams:
    """A server whose connections stay until an answer is empty."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except asyncio.IncompleteReadError:
                break
            length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
            count += 1
            response = answer(count, await reader.readexactly(length))
            writer.write(response)
            await writer.drain()
            if not response:
                break
        await _close(writer)

    return serve


def _ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + _right(body)


def test_http1_answers_are_checked() -> None:
    def answer(number: int, body: bytes) -> bytes:
        return {
            1: b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n",
            2: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
            3: b"",
        }.get(number, _ok(body))

    answers = _answers(_http1(answer))
    assert _outcomes(answers) == {"ok": 37, "failed": 2, "wrong": 1}
    assert {each.detail[:3] for each in answers if each.outcome == "failed"} == {"503", "Inc"}


def test_models_are_asked_at_once_each_by_its_own_samples(tmp_path: Path) -> None:
    tolerance = Tolerance(absolute=0.2)
    samples = [
        PreparedSample("vad", "1", body, "audio/wav", body.encode(), expected)
        for body, expected in {
            "close": Expected(answer={"start": 1.0}, tolerance=tolerance),
            "far": Expected(answer={"start": 2.0}, tolerance=tolerance),
        }.items()
    ]
    known.write(tmp_path / "known.json", {"local": {"torchserve": {"vad": samples}}})
    right_of_vad = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"start":1.1}'
    bodies = {each.body for each in samples}
    server = _http1(lambda _, body: right_of_vad if body in bodies else _ok(body))
    vad = {"model": "vad", "known": str(tmp_path / "known.json"), "rate": 50}
    answers = _answers(server, vad)
    assert _outcomes([x for x in answers if x.model == "echo"]) == {"ok": 40}
    of_vad = [each for each in answers if each.model == "vad"]
    assert _outcomes(of_vad) == {"ok": 10, "wrong": 10}
    assert {each.detail for each in of_vad} == {"", "start: 1.1, not 2 ± 0.2"}


def test_requests_that_have_no_place_are_dropped_and_counted() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await _close(writer)

    answers = _answers(silence, most=3, patience=0.4)
    assert _outcomes(answers) == {"failed": 3, "dropped": 37}


def test_slow_upload_takes_its_time() -> None:
    server = _http1(lambda _, body: _ok(body))
    answers = _answers(server, upload=0.2, size=100_000, rate=10)
    assert _outcomes(answers) == {"ok": 4}
    assert min(each.seconds for each in answers) >= 0.2


async def _leaving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that announces its end with the first request, as Envoy does, and answers on."""
    h2 = H2Connection(H2Configuration(client_side=False))
    h2.initiate_connection()
    bodies: dict[int, bytes] = {}
    while piece := await reader.read(65_536):
        for event in h2.receive_data(piece):
            if isinstance(event, DataReceived) and event.stream_id:
                bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
            elif isinstance(event, StreamEnded) and event.stream_id:
                writer.write(GoAwayFrame(0, last_stream_id=2**31 - 1).serialize())
                h2.send_headers(event.stream_id, [(":status", "200")])
                h2.send_data(event.stream_id, _right(bodies[event.stream_id]), end_stream=True)
        writer.write(h2.data_to_send())
    await _close(writer)


def test_http2_leaves_a_connection_that_ends_and_loses_nothing() -> None:
    answers = _answers(_leaving, client="http2", rate=50, seconds=1)
    assert _outcomes(answers) == {"ok": 50}


def test_http2_counts_what_a_closed_connection_held() -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        await _close(writer)

    answers = _answers(close, client="http2", rate=50)
    assert _outcomes(answers) == {"failed": 20}


def test_grpc_answers_are_checked() -> None:
    request, response = messages()

    async def predict(message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        predictions = request.FromString(message)
        if predictions.model_name != "echo":
            await context.abort(grpc.StatusCode.INTERNAL, "Model not found")
        prediction = _right(predictions.input["data"])
        return bytes(response(prediction=prediction).SerializeToString())

    async def run() -> list[Answer]:
        server = grpc.aio.server()
        service, _, method = METHOD[1:].partition("/")
        handler = grpc.unary_unary_rpc_method_handler(predict)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {method: handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        load = Load("127.0.0.1", port, 50, 0.2, client="grpc")
        answers = [*await _send(load), *await _send(replace(load, model="other"))]
        await server.stop(None)
        return answers

    answers = asyncio.run(run())
    assert _outcomes(answers) == {"ok": 10, "failed": 10}
    assert answers[-1].detail == "13 b'Model not found'"


def test_closed_loop_counts_correct_answers_alone() -> None:
    numbers = []

    def answer(number: int, body: bytes) -> bytes:
        numbers.append(number)
        return b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n" if number % 2 else _ok(body)

    async def run() -> float:
        listener = await asyncio.start_server(_http1(answer), "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            load = Load("127.0.0.1", port, 0, 0.5, most=2)
            argv = (sys.executable, "-m", closed_loop.__name__, json.dumps(asdict(load)))
            client = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
            async with asyncio.timeout(60):
                output, _ = await client.communicate()
            return float(output)

    assert 0 < 0.5 * asyncio.run(run()) <= len(numbers) / 2
