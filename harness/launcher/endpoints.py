"""``/startup``, ``/ready``, ``/live`` and ``/metrics`` over HTTP, on a port of their own."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import Failure

Page = Callable[[], tuple[bool, str] | str]
"""Answers a probe, whether it is good and why; or plain text."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds a connection may idle
    pages: Mapping[str, Page]

    def do_GET(self) -> None:
        page = self.pages.get(self.path.partition("?")[0])
        answer = page() if page else (False, f"there are {', '.join(self.pages)}")
        if isinstance(answer, str):
            status, kind, text = 200, "text/plain; version=0.0.4", answer
        else:
            status, kind = (200 if answer[0] else 503 if page else 404), "application/json"
            text = json.dumps({"ok": answer[0], "reason": answer[1]}) + "\n"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else text.encode())

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *_: object) -> None:
        """Probes come every second."""


@contextlib.contextmanager
def serving(host: str, port: int, pages: Mapping[str, Page]) -> Iterator[None]:
    """Answer with ``pages``, by path, while the block runs."""
    try:
        server = ThreadingHTTPServer((host, port), type("Handler", (_Handler,), {"pages": pages}))
    except OSError as error:
        raise Failure(f"cannot listen on {host}:{port}: {error.strerror}") from error
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
