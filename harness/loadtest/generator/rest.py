"""HTTP/1.1 over kept-alive connections: requests are bytes made beforehand, responses are parsed
by llhttp (geventhttpclient's parser) with no header looked at. A generic client spends more time on
a request than a small model does.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from gevent import socket, ssl  # type: ignore[import-untyped]
from gevent.monkey import get_original  # type: ignore[import-untyped]
from geventhttpclient._parser import HTTPParseError, HTTPResponseParser

from harness.loadtest.generator.checker import NoResponse, Response, now
from harness.loadtest.plan import Plan, Request

_BLOCK = 65_536
_poll = get_original("select", "poll")  # gevent has only a cooperative one
_POLLIN = 1

Prepared = tuple["_Pool", bytes, bytes, bool]
"""A server, a request's bytes up to where its traceparent goes and from there on, and whether its
response has no body. A request without a place for it has all of its bytes in the first.
"""


class Rest:
    """A pool of connections to each server, last used first."""

    def __init__(self, plan: Plan, secret: str | None) -> None:
        self._timeout = plan.timeout
        self._traced = plan.traced > 0
        self._common = {"User-Agent": "harness-loadtest"}
        if plan.auth:
            self._common[plan.auth.header] = f"{plan.auth.prefix}{secret}"
        self._default_pool = _Pool(plan, plan.url, plan.host)
        self._pools = {
            url: _Pool(plan, url, urlsplit(url).netloc)
            for url in {request.url for request in plan.requests if request.url} - {plan.url}
        }

    def prepare(self, request: Request) -> Prepared:
        """The server, the request as it goes over the wire, whether its response has no body."""
        has_place = self._traced and "traceparent" not in map(str.lower, request.headers)
        pool = self._pools.get(request.url or "", self._default_pool)
        # A header of the request replaces the common one, and the length is the body's own.
        headers: dict[str, tuple[str, str]] = {}
        common = {"Host": pool.host, **self._common}
        for name, content in (*common.items(), *request.headers.items()):
            headers[name.lower()] = (name, content)
        headers.pop("content-length", None)
        if request.body or request.method in {"POST", "PUT", "PATCH"}:
            headers["content-length"] = ("Content-Length", str(len(request.body)))
        first = f"{request.method} {request.path} HTTP/1.1\r\n".encode("latin-1")
        lines = "".join(f"{name}: {content}\r\n" for name, content in headers.values())
        rest = f"{lines}\r\n".encode("latin-1") + request.body
        if not has_place:
            return pool, first + rest, b"", request.method == "HEAD"
        return pool, first + b"traceparent: ", b"\r\n" + rest, request.method == "HEAD"

    def send(self, prepared: Prepared, traceparent: str) -> Response:
        """Send a request and read its whole response.

        Raises:
            NoResponse: no connection, no response in time, or not HTTP.
        """
        pool, before, after, headless = prepared
        payload = b"".join((before, traceparent.encode(), after)) if after else before
        deadline = now() + self._timeout
        connection = None
        try:
            connection = pool.connect()
            response = connection.exchange(payload, headless, deadline)
        except (OSError, HTTPParseError) as error:
            if connection:
                connection.close()
            raise self._no_response(error) from error
        if response.should_keep_alive():
            pool.idle.append(connection)
        else:
            connection.close()
        return Response(response.get_code(), bytes(response.body), response.first)

    def _no_response(self, error: Exception) -> NoResponse:
        match error:
            case TimeoutError():
                return NoResponse("timeout", f"no answer in {self._timeout:g} s")
            case ssl.SSLError():
                return NoResponse("TLS", str(error))
            case HTTPParseError():
                return NoResponse("not HTTP", str(error))
            case _:
                words = re.sub("(?<=[a-z])(?=[A-Z])", " ", type(error).__name__)
                return NoResponse(words.removesuffix(" Error").lower(), str(error))


class _Pool:
    """Connections to one server."""

    def __init__(self, plan: Plan, url: str, host: str) -> None:
        parts = urlsplit(url)
        self.host = host
        self.idle: list[_Connection] = []
        self._address = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
        self._tls = _tls(plan) if parts.scheme == "https" else None
        self._timeout = plan.timeout

    def connect(self) -> "_Connection":
        while self.idle:
            connection = self.idle.pop()
            if not connection.stale():
                return connection
            connection.close()
        sock = socket.create_connection(self._address, timeout=self._timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            sock = self._tls.wrap_socket(sock, server_hostname=self.host.rsplit(":", 1)[0])
        return _Connection(sock)


def _tls(plan: Plan) -> Any:
    context = ssl.create_default_context(cadata=plan.ca or None)
    if not plan.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Connection:
    __slots__ = ("_poll", "_sock", "close")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._poll = _poll()
        self._poll.register(sock.fileno(), _POLLIN)
        self.close = sock.close

    def stale(self) -> bool:
        """Whether the server has closed it (or speaks out of turn) while it was idle."""
        return bool(self._poll.poll(0))

    def exchange(self, payload: bytes, headless: bool, deadline: float) -> "_Parser":
        sock = self._sock
        sock.settimeout(max(0.001, deadline - now()))
        sock.sendall(payload)
        parser = _Parser(headless)
        while not parser.complete:
            remaining = deadline - now()
            if remaining <= 0:
                raise TimeoutError
            sock.settimeout(remaining)
            data = sock.recv(_BLOCK)
            if not data and not parser.begun:
                raise ConnectionResetError("the server closed the connection without an answer")
            if not parser.first:
                parser.first = now()
            parser.feed(data)
            if not data and not parser.complete:
                raise ConnectionResetError("the server closed the connection within its answer")
        return parser


class _Parser(HTTPResponseParser):
    """Keeps the body. llhttp calls every one of these methods; headers are of no interest."""

    def __init__(self, headless: bool) -> None:
        super().__init__()
        self.headless = headless
        self.begun = False
        self.complete = False
        self.first = 0.0
        self.body = bytearray()

    def _on_message_begin(self) -> None:
        self.begun = True

    def _on_status(self, _: str) -> None: ...

    def _on_header_field(self, _: str) -> None: ...

    def _on_header_value(self, _: str) -> None: ...

    def _on_headers_complete(self) -> bool:
        return self.headless

    def _on_body(self, data: bytes) -> None:
        self.body += data

    def _on_message_complete(self) -> None:
        self.complete = self.get_code() >= 200  # an interim 1xx comes before the response
