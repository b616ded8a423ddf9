"""Answers of a running server as the right ones."""

import contextlib
import http.server
import io
import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.cli import main
from harness.core.errors import InputError
from harness.models import build, derive, reference
from harness.models.answer import wrong, wrong_response
from harness.models.catalog import load_model
from harness.models.derive import Answer
from harness.models.expectation import resolve
from harness.models.samples import load_samples

Handler = Callable[[bytes], tuple[int, bytes]]


@contextlib.contextmanager
def server(answer: Handler) -> Iterator[str]:
    class Request(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = answer(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Request) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture
def run_record(tiny, edit, monkeypatch, tmp_path):
    """Records one answer of a model without a reference, by the command."""
    edit(
        "reference: reference.py\nsamples:\n  - name: hello\n    file: hello.txt\n"
        "    contentType: text/plain\n    expect:\n      answer: {length: 5}\n",
        "serving: {batchSize: 4}\n",
    )
    (tiny.root / ".git").mkdir(exist_ok=True)
    monkeypatch.setattr("harness.cli.record.find_repository", lambda: tiny)
    request = tmp_path / "request.txt"
    request.write_text("hello")

    def run_record(answer: Handler, *options: str) -> int:
        with server(answer) as url:
            return main(["models", "record", "tiny", str(request), "--url", url, *options])

    return run_record


def test_what_a_server_answers_becomes_the_correct_answer_and_another_one_fails(
    tiny, run_record, capsys
):
    assert run_record(lambda body: (200, json.dumps({"length": len(body)}).encode())) == 0
    assert "request: answer · 21 answers" in capsys.readouterr().out
    (sample,) = load_samples(tiny, build.build(tiny))["tiny"]
    assert (sample.name, sample.body, sample.content_type) == ("request", b"hello", "text/plain")
    assert sample.origin == "recorded"
    assert sample.recorded.startswith("recorded 20")
    assert wrong(sample.expected, b'{"length": 5}') is None
    assert wrong(sample.expected, b'{"length": 6}') == "length: 6, not 5 ± 0"


def test_an_error_is_refused_and_nothing_is_written(tiny, run_record, capsys):
    numbers = itertools.count()
    answer = lambda _: (503, b"queue is full") if next(numbers) == 5 else (200, b"{}")  # noqa: E731
    assert run_record(answer) == 1
    assert (
        "request: HTTP 503, and an error is not recorded: queue is full" in capsys.readouterr().err
    )
    assert sorted(path.name for path in (tiny.models / "tiny").iterdir()) == [
        "handler.py",
        "hello.txt",
        "model.yaml",
        "reference.py",
        "tiny.pt",
    ]


def test_nobody_answers_is_said(tiny, run_record, tmp_path, capsys):
    request = tmp_path / "request.txt"
    assert main(["models", "record", "tiny", str(request), "--url", "http://127.0.0.1:9"]) == 3
    assert "http://127.0.0.1:9/predictions/tiny does not answer" in capsys.readouterr().err


def test_an_answer_that_is_cut_short_is_no_answer(tiny, run_record, tmp_path, capsys):
    def answer(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass  # what is left unread would reset the connection

    request = tmp_path / "request.txt"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_once, args=(listening, answer), daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert main(["models", "record", "tiny", str(request), "--url", url]) == 3
    assert f"{url}/predictions/tiny does not answer: IncompleteRead" in capsys.readouterr().err


def _once(listening: socket.socket, answer: Callable[[socket.socket], None]) -> None:
    connection, _ = listening.accept()
    with connection:
        answer(connection)


def test_a_batch_is_asked_for_at_once(run_record):
    """The server holds its answers until as many requests wait as a batch has, for a moment."""
    count = {"now": 0, "most": 0}
    gate = threading.Condition()

    def answer(_: bytes) -> tuple[int, bytes]:
        with gate:
            count["now"] += 1
            count["most"] = max(count["most"], count["now"])
            gate.wait_for(lambda: count["now"] >= 4, timeout=0.05)
            count["now"] -= 1
            gate.notify_all()
        return 200, b"{}"

    assert run_record(answer) == 0
    assert count["most"] == 4


def test_a_sample_of_model_yaml_is_not_replaced(tiny, run_record, edit, capsys):
    edit("handler: handler.py\n", "handler: handler.py\nsamples:\n  - {name: request, "
         "file: hello.txt, contentType: text/plain, expect: {status: 200}}\n")  # fmt: skip
    assert run_record(lambda _: (200, b"{}")) == 1
    assert "there is a sample request already" in capsys.readouterr().err


def test_recording_again_replaces_what_was_recorded(tiny, run_record):
    assert run_record(lambda _: (200, b"one")) == 0
    assert run_record(lambda _: (200, b"two")) == 0
    (sample,) = load_model(tiny.models / "tiny" / "model.yaml").samples
    assert sample.expect.text == "two"


def picture(color: tuple[int, int, int]) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(target, "PNG")
    return target.getvalue()


def test_a_picture_is_recorded_with_a_distance(tiny, run_record):
    greens = itertools.cycle([picture((0, 100, 0)), picture((0, 102, 0))])
    assert run_record(lambda _: (200, next(greens))) == 0
    folder = tiny.models / "tiny"
    (sample,) = reference.prepare(load_model(folder / "model.yaml"), folder, "1", None, folder)
    assert wrong(sample.expected, picture((0, 103, 0))) is None
    assert "distance" in wrong(sample.expected, picture((90, 0, 0)))


def test_an_adopted_archive_that_lies_elsewhere_gets_its_samples(tiny, run_record, edit):
    edit("  torchscript:\n    file: tiny.pt\n", "  adopted:\n    mar: tiny.mar\n")
    assert run_record(lambda _: (200, b"Paris")) == 0
    build.build(tiny)
    folder = tiny.built_models / "samples" / "tiny" / "1"
    assert (folder / "request").read_bytes() == b"hello"


def derive_all(*bodies: object, status: int = 200) -> derive.Derived:
    texts = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
    return derive.derive("x", [Answer(status, text) for text in texts])


@pytest.mark.parametrize(
    ("bodies", "expect", "varying"),
    [
        ([{"a": 1, "id": "u"}, {"a": 1, "id": "v"}], {"answer": {"a": 1}}, ("id",)),
        ([{"a": 1}, {"a": 1, "b": 2}], {"answer": {"a": 1}}, ("b",)),
        ([{"at": 1.0, "ok": True}, {"at": 9.0, "ok": True}], {"answer": {"ok": True}}, ("at",)),
        ([b"Paris", b"Paris"], {"text": "Paris"}, ()),
        ([b"It is Paris", b"Paris, it is"], {"pattern": r"\S"}, ("the text",)),
        ([b"\x00\xff", b"\x00\xff"], {"sha256": None}, ()),
        ([b"\x00\xff", b"\x01\xff"], {"status": 200}, ("the bytes",)),
        ([[1, 2], [1, 2, 3]], {"jsonSchema": None}, ("answer",)),
    ],
)
def test_what_answers_agree_on_is_kept_and_the_rest_named(bodies, expect, varying):
    result = derive_all(*bodies)
    shown = result.expectation.model_dump(by_alias=True, exclude_unset=True)
    assert set(expect) <= set(shown)
    assert all(shown[key] == value for key, value in expect.items() if value is not None)
    assert result.varying == varying


values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-1e3, 1e3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=25)
@given(bodies=st.lists(values, min_size=3, max_size=4) | values.map(lambda value: [value] * 3))
def test_every_answer_meets_what_was_derived_of_them_all(bodies):
    result = derive_all(*bodies)
    expected = resolve(result.expectation, Path())
    for body in bodies:
        assert wrong_response(expected, 200, json.dumps(body).encode()) is None


@given(value=st.floats(0.01, 1e3), noise=st.floats(0, 0.002))
def test_a_number_may_be_off_by_four_times_what_was_seen(value, noise):
    spread = value * noise
    result = derive_all(value - spread, value, value + spread)
    tolerance = result.expectation.tolerance
    assert tolerance.absolute + tolerance.relative * value >= 3.9 * spread
    assert tolerance.absolute >= derive.ABSOLUTE


def test_an_answer_with_an_error_status_is_refused():
    with pytest.raises(InputError, match="HTTP 500"):
        derive_all({}, status=500)
