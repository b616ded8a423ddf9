"""What the kernel tells of connections, asked of the real kernel."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.launcher import connections
from harness.launcher.connections import Connection, Unsupported, requests_in_flight
from tests.support.processes import eventually

MEBIBYTE = 1 << 20


class Pair:
    """A server's and a client's end of one connection."""

    def __init__(self, family: socket.AddressFamily, until: ExitStack) -> None:
        dual = family == socket.AF_INET6  # as Java listens: on IPv6, for both
        host = "::" if dual else "127.0.0.1"
        listening = until.enter_context(
            socket.create_server((host, 0), family=family, dualstack_ipv6=dual)
        )
        self.port = listening.getsockname()[1]
        self.client = until.enter_context(socket.create_connection(("127.0.0.1", self.port)))
        self.server = until.enter_context(listening.accept()[0])

    def carries_request(self) -> bool:
        return requests_in_flight(self.port) == 1

    def is_idle(self) -> bool:
        return not self.carries_request()

    def is_a_tick_after_its_answer(self) -> bool:
        """A question within the same tick of the kernel (10 ms at most) would look answered."""
        (connection,) = connections.connections({self.port})
        return connection.sent is not None and connection.sent > 0.01


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["ipv4", "dual stack"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with ExitStack() as until:
        yield Pair(request.param, until)


def ask(pair: Pair) -> None:
    """A request that the server has read."""
    pair.client.sendall(b"question")
    assert pair.server.recv(100) == b"question"


def test_a_connection_that_never_asked_carries_nothing(pair: Pair) -> None:
    assert pair.is_idle()


def test_what_the_server_has_not_read_is_in_flight(pair: Pair) -> None:
    pair.client.sendall(b"question")
    eventually(pair.carries_request)
    assert pair.server.recv(100) == b"question"
    assert pair.carries_request()


def test_a_request_is_in_flight_from_its_first_byte_to_its_answer(pair: Pair) -> None:
    ask(pair)
    assert pair.carries_request()
    pair.server.sendall(b"answer")
    eventually(pair.is_idle)


def test_a_second_request_on_a_kept_connection_is_in_flight(pair: Pair) -> None:
    ask(pair)
    pair.server.sendall(b"answer")
    eventually(pair.is_idle)
    eventually(pair.is_a_tick_after_its_answer)
    ask(pair)
    eventually(pair.carries_request)
    assert not pair.is_idle()


def test_a_client_that_only_closed_its_half_still_waits(pair: Pair) -> None:
    ask(pair)
    pair.client.shutdown(socket.SHUT_WR)
    assert pair.carries_request()


def test_an_answer_is_in_flight_until_the_client_has_all_of_it(pair: Pair) -> None:
    ask(pair)
    pair.server.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            pair.server.send(b"x" * MEBIBYTE)
    assert pair.carries_request()
    pair.client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        while True:
            pair.client.recv(MEBIBYTE)
    eventually(pair.is_idle)


def test_connections_to_other_ports_do_not_count(pair: Pair) -> None:
    ask(pair)
    assert requests_in_flight(pair.client.getsockname()[1]) == 0


@pytest.mark.parametrize(
    ("connection", "http", "grpc"),
    [
        (Connection(1, None, None, waiting=False), False, False),
        (Connection(1, 0.1, 9.0, waiting=False), True, True),
        (Connection(1, 9.0, 0.1, waiting=False), False, True),
        (Connection(1, 8.0, 9.0, waiting=False), True, False),
        (Connection(1, 9.0, 8.0, waiting=True), True, True),
        (Connection(1, 9.0, 9.0, waiting=False), False, False),
    ],
    ids=["new", "asked", "answered", "slow", "on its way", "answered within a tick"],
)
def test_http_2_has_frames_that_belong_to_no_request(
    connection: Connection, http: bool, grpc: bool
) -> None:
    assert connection.carries_request() is http
    assert connection.moved_within(1) is grpc


@pytest.mark.parametrize("family", [None, 99, socket.AF_INET])
def test_a_system_that_does_not_tell_says_so(
    monkeypatch: pytest.MonkeyPatch, family: int | None
) -> None:
    """Without the address family, or where a sandbox refuses it."""
    monkeypatch.setattr(connections, "_AF_NETLINK", family)
    with pytest.raises(Unsupported):
        requests_in_flight(1)
