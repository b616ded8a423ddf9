"""A server of predictions that answers as a test says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer


@dataclass(frozen=True)
class Request:
    """What came."""

    path: str
    headers: dict[str, str]
    body: bytes


@contextmanager
def answering(respond: Callable[[Request], tuple[int, bytes]], port: int = 0) -> Iterator[str]:
    """The address of a server that answers each request with this status and body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            status, body = respond(Request(self.path, dict(self.headers), content))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with listening(ThreadingHTTPServer(("127.0.0.1", port), Handler)) as where:
        yield f"http://127.0.0.1:{where}"


@contextmanager
def listening(server: TCPServer) -> Iterator[int]:
    """Have a server of loopback answer while the block runs; its port."""
    with server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
