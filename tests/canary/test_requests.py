"""Gate and shadow read a request in every form that HTTP/1.1 has, and refuse what is none."""

import contextlib
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from harness.canary import gate, shadow
from harness.canary.shadow import Shadow
from tests.canary.server import Request, answering, listening
from tests.canary.test_gate import HELLO, question_about

GROUPS = {"vision": {"tiny": (HELLO,)}}
QUESTION = question_about("vision")
_SECONDS = 20.0
_STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)


@dataclass
class Listener:
    """Gate or shadow.

    Attributes:
        address: where it listens.
        path: of a request with a body.
        body: one that it takes.
        most: bytes that a body may have.
        bodies: those that it sent on to models.
    """

    address: tuple[str, int]
    path: str
    body: bytes
    most: int
    bodies: list[bytes] = field(default_factory=list)

    def head(self, *headers: str, method: str = "POST") -> bytes:
        lines = [f"{method} {self.path} HTTP/1.1", "Host: canary", *headers, "", ""]
        return "\r\n".join(lines).encode()

    def statuses(self, *parts: bytes) -> list[int]:
        """Of every answer until it closes the connection, which the client ends with its text."""
        with socket.create_connection(self.address, _SECONDS) as client:
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    client.sendall(part)
                client.shutdown(socket.SHUT_WR)
            return [int(each) for each in _STATUS.findall(_read(client))]


@pytest.fixture(params=["gate", "shadow"])
def listener(request: pytest.FixtureRequest) -> Iterator[Listener]:
    bodies: list[bytes] = []

    def respond(question: Request) -> tuple[int, bytes]:
        bodies.append(question.body)
        return 200, b'{"length": 5}'

    address = ("127.0.0.1", 0)
    with answering(respond) as models:
        if request.param == "gate":
            server, path, body = gate.serving(GROUPS, address, models), "/", QUESTION
            most = gate.LARGEST
        else:
            server = shadow.serving(Shadow(GROUPS, 100, models, models), address)
            path, body, most = "/predictions/tiny", b"hello", shadow.LARGEST_COPY
        with listening(server):
            yield Listener(server.server_address[:2], path, body, most, bodies)


LAST = b"GET /metrics HTTP/1.1\r\nHost: canary\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: canary\r\n\r\n"


def chunks(body: bytes, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    """A body in chunks of five bytes."""
    parts = [body[start : start + 5] for start in range(0, len(body), 5)]
    lines = [b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts]
    return b"".join([*lines, b"0\r\n", trailers, b"\r\n"])


@pytest.mark.parametrize(
    ("extension", "trailers"),
    [
        (b"", b""),
        (b';name="a; b"', b""),
        (b"", b"Checksum: 1\r\nOther: 2\r\n"),
        (b";x", b"Checksum: 1\r\n"),
    ],
)
def test_a_body_in_chunks_is_read_whole_and_no_further(
    listener: Listener, extension: bytes, trailers: bytes
) -> None:
    body = chunks(listener.body, extension, trailers)
    assert listener.statuses(listener.head("Transfer-Encoding: chunked"), body, LAST) == [200, 200]
    assert set(listener.bodies) == {b"hello"}


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_what_is_in_a_body_is_no_request(listener: Listener, method: str) -> None:
    chunked = listener.head("Transfer-Encoding: chunked", method=method) + chunks(SMUGGLED)
    sized = listener.head(f"Content-Length: {len(SMUGGLED)}", method=method) + SMUGGLED
    assert len(listener.statuses(chunked, sized, LAST)) == 3


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (["Transfer-Encoding: chunked"], b"hello\r\n0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"-5\r\nhello\r\n0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"0x5\r\nhello\r\n0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"%b\r\n" % (b"f" * 40)),
        (["Transfer-Encoding: chunked"], b"5\r\nhello!\r\n0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"5\r\nhel"),
        (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n"),
        (["Transfer-Encoding : chunked"], chunks(b"hello")),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], chunks(b"hello")),
        (["Transfer-Encoding: chunked", "Content-Length: 15"], chunks(b"hello")),
        (["Content-Length: 5", "Content-Length: 6"], b"hello!"),
        (["Content-Length: -5"], b"hello"),
        (["Content-Length: 1_0"], b"hellohello"),
        (["Content-Length: five"], b"hello"),
        (["Content-Length: 50"], b"hello"),
    ],
)
def test_a_body_whose_end_nobody_knows_ends_the_connection(
    listener: Listener, headers: list[str], body: bytes
) -> None:
    following = b"" if body in (b"hello", b"5\r\nhel", b"5\r\nhello\r\n") else SMUGGLED + LAST
    assert listener.statuses(listener.head(*headers), body, following) == [400]
    assert listener.bodies == []


def test_another_coding_than_chunks_is_refused(listener: Listener) -> None:
    head = listener.head("Transfer-Encoding: gzip, chunked")
    assert listener.statuses(head, chunks(b"hello"), LAST) == [501]


def test_a_size_line_or_trailers_without_an_end_are_refused(listener: Listener) -> None:
    endless = b"a" * (1 << 20)
    head = listener.head("Transfer-Encoding: chunked")
    assert listener.statuses(head, b"5;", endless) == [431]
    assert listener.statuses(head, b"5\r\nhello\r\n0\r\n", endless) == [431]
    assert listener.bodies == []


def test_a_body_above_the_bound_is_refused(listener: Listener) -> None:
    size = listener.most + 1
    sized = listener.head(f"Content-Length: {size}")
    assert listener.statuses(sized, b" " * size, LAST) == [413]
    chunked = listener.head("Transfer-Encoding: chunked")
    assert listener.statuses(chunked, b"%x\r\n" % size, b" " * size, b"\r\n0\r\n\r\n") == [413]
    assert listener.bodies == []


def test_no_more_is_read_than_the_bound(listener: Listener) -> None:
    """Nobody waits for the rest of a body that is too large, however it is sent."""
    with socket.create_connection(listener.address, _SECONDS) as client:
        client.sendall(listener.head("Content-Length: 9999999999") + b" ")
        assert _read(client).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(listener.address, _SECONDS) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(listener.head("Transfer-Encoding: chunked") + b"fffffff\r\n")
            client.sendall(b" " * (listener.most + 1))
        assert _read(client).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_asks_first_is_told_to_go_on(listener: Listener) -> None:
    expect = "Expect: 100-continue"
    with socket.create_connection(listener.address, _SECONDS) as client:
        client.sendall(listener.head(f"Content-Length: {len(listener.body)}", expect))
        assert client.recv(1 << 16) == b"HTTP/1.1 100 \r\n\r\n"
        client.sendall(listener.body + LAST)
        assert [int(each) for each in _STATUS.findall(_read(client))] == [200, 200]
    assert set(listener.bodies) == {b"hello"}
    assert listener.statuses(listener.head(f"Content-Length: {listener.most + 1}", expect)) == [413]


@pytest.mark.parametrize("raw", [b"\r\n\r\nnonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01"])
def test_what_is_no_http_is_refused(listener: Listener, raw: bytes) -> None:
    assert listener.statuses(raw) == [400]


def test_other_methods_are_refused(listener: Listener) -> None:
    assert listener.statuses(listener.head(method="DELETE"), LAST) == [405, 200]


def test_a_head_is_answered_without_a_body(listener: Listener) -> None:
    assert listener.statuses(listener.head(method="HEAD"), LAST) == [200, 200]


def _read(client: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(1 << 16):
            received += part
    return received
