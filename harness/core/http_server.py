"""HTTP/1.1 for servers of small answers: a request is read in every form that it may have.

    class Echo(http_server.Handler):
        def answer(self, request: Request) -> Reply:
            return Reply(200, request.body(1 << 16))

    with http_server.Server(("127.0.0.1", 8099), Echo) as server:
        server.serve_forever()

h11 reads what clients send. Of the standard library's server each handler would have to know where
a body ends, in chunks or not, and whoever errs there takes the rest for the next request.
"""

import contextlib
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer

import h11

from harness.core.errors import HarnessError

_LARGEST_HEAD = 1 << 16  # bytes of a request's line and headers, or of trailers: Envoy's bound
_LARGEST_REST = 1 << 23  # bytes of a body that nobody wanted, for which the connection is kept
_PIECE = 1 << 16
_LINGER = 2.0  # seconds for a client to notice that it is not listened to


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        status: such as 200.
        content: its body.
        headers: all but those of the connection and of the body's length.
    """

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(
        default_factory=lambda: {"Content-Type": "text/plain; charset=utf-8"}
    )


class RequestError(Exception):
    """The request cannot be answered; the connection ends with this status and sentence."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Server(ThreadingTCPServer):
    """A thread for each connection; none outlives the process."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        """Take the address.

        Raises:
            HarnessError: it cannot be had.
        """
        try:
            super().server_bind()
        except (OSError, OverflowError) as error:
            host, port = self.server_address[:2]
            message = f"cannot listen on {host!s}:{port}: {error}"
            raise HarnessError(
                message, hint="end what listens there, or take another port"
            ) from error


class Request:
    """A request, whose body is still to be read.

    Attributes:
        method: such as ``POST``.
        target: path and query, as they came.
        headers: the last of each name; names in lower case.
    """

    def __init__(self, head: h11.Request, pieces: Iterator[bytes]) -> None:
        self.method, self.target = head.method.decode(), head.target.decode("latin-1")
        self.headers = {name.decode(): text.decode("latin-1") for name, text in head.headers}
        self._pieces = pieces

    def body(self, most: int) -> bytes:
        """The body, once.

        Args:
            most: bytes that it may have.

        Raises:
            RequestError: it has more.
        """
        if int(self.headers.get("content-length", 0)) <= most:
            content = bytearray()
            for piece in self._pieces:
                content += piece
                if len(content) > most:
                    break
            else:
                return bytes(content)
        raise RequestError(413, f"a body here has {most:,} bytes at the most")


class Handler(StreamRequestHandler):
    """Answers the requests of a connection, until one of them ends elsewhere than it says."""

    timeout = 60  # seconds that a client may be silent
    _is_head = False  # whether the request wants no more than the head of its answer

    def answer(self, request: Request) -> Reply:
        """What a subclass answers. A body that it does not ask for is read and dropped.

        Raises:
            RequestError: the connection ends with this answer.
        """
        raise NotImplementedError

    def handle(self) -> None:
        """Answer one request after the other."""
        self._http = h11.Connection(h11.SERVER, _LARGEST_HEAD)
        with contextlib.suppress(OSError):  # the client went away, or was silent for too long
            while self._serve():
                self._http.start_next_cycle()
            self._linger()

    def _serve(self) -> bool:
        """Answer the next request; whether another one may follow."""
        try:
            head = self._next_event()
            if not isinstance(head, h11.Request):
                return False
            self._is_head = head.method == b"HEAD"
            reply = self._reply(head)
        except RequestError as error:
            reply = Reply(error.status, f"{error}\n".encode())
        except h11.RemoteProtocolError as error:
            reply = Reply(error.error_status_hint, f"{error}\n".encode())
        goes_on = self._http.their_state not in (h11.SEND_BODY, h11.ERROR)
        self._send(reply, {} if goes_on else {"Connection": "close"})
        return goes_on and self._http.our_state is h11.DONE

    def _reply(self, head: h11.Request) -> Reply:
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in head.headers}:
            # Whoever passed it on may have believed the other one: a request could hide in it.
            raise RequestError(400, "a body has either a length or chunks")
        pieces = self._pieces()
        reply = self.answer(Request(head, pieces))
        dropped = 0
        for piece in pieces:
            dropped += len(piece)
            if dropped > _LARGEST_REST:
                raise RequestError(413, "the body is too large")
        return reply

    def _pieces(self) -> Iterator[bytes]:
        """The rest of the body, as it comes."""
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            self.wfile.write(self._http.send(go_on))
        while isinstance(event := self._next_event(), h11.Data):
            yield event.data

    def _linger(self) -> None:
        """Hear a client out that still sends: it would lose the answer to a reset."""
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(_LINGER)
        deadline = time.monotonic() + _LINGER
        while self.connection.recv(_PIECE) and time.monotonic() < deadline:
            pass

    def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(self.connection.recv(_PIECE))
        return event

    def _send(self, reply: Reply, headers: Mapping[str, str]) -> None:
        lines = {**reply.headers, **headers, "Content-Length": str(len(reply.content))}
        answer = self._http.send(h11.Response(status_code=reply.status, headers=[*lines.items()]))
        if not self._is_head:
            answer += self._http.send(h11.Data(data=reply.content))
        self.wfile.write(answer + self._http.send(h11.EndOfMessage()))
