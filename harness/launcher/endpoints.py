"""``/startup``, ``/ready``, ``/live`` and ``/metrics`` over HTTP, on a port of their own."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import Failure

Page = Callable[[], tuple[bool, str]]
"""Whether all is good, and why; or the text of /metrics."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds a connection may idle
    pages: Mapping[str, Page]

    def do_GET(self) -> None:
        # A body is not read, and must not be taken for the next request.
        self.close_connection |= any(map(self.headers.get, ("Content-Length", "Transfer-Encoding")))
        path, kind = self.path.partition("?")[0], "text/plain; version=0.0.4"
        good, text = self.pages.get(path, lambda: (False, f"there are {', '.join(self.pages)}"))()
        if path != "/metrics":
            kind, text = "application/json", json.dumps({"ok": good, "reason": text}) + "\n"
        self.send_response(200 if good else 503 if path in self.pages else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Probes come every second."""


def serve(host: str, port: int, pages: Mapping[str, Page]) -> None:
    """Answer with ``pages``, by path, for as long as the process lives.

    Raises:
        Failure: the address is taken.
    """
    try:
        server = ThreadingHTTPServer((host, port), type("Handler", (_Handler,), {"pages": pages}))
    except OSError as error:
        raise Failure(f"cannot listen on {host}:{port}: {error.strerror}") from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
