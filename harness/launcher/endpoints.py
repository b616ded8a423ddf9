"""``/startup``, ``/ready``, ``/live`` and ``/metrics`` over HTTP, on a port of the launcher's own."""

import contextlib
import http.server
import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus

from .failure import Failure
from .health import Verdict


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds a connection may idle between two requests
    probes: Mapping[str, Callable[[], Verdict]]
    metrics: Callable[[], str]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if probe := self.probes.get(path):
            verdict = probe()
            status = HTTPStatus.OK if verdict.good else HTTPStatus.SERVICE_UNAVAILABLE
            body = json.dumps({"ok": verdict.good, "reason": verdict.reason}) + "\n"
            self._answer(status, "application/json", body)
        elif path == "/metrics":
            self._answer(HTTPStatus.OK, "text/plain; version=0.0.4", type(self).metrics())
        else:
            have = ", ".join([*self.probes, "/metrics"])
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", f"not here; there are {have}\n")

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Probes come every second; what they were told is in TorchServe's log anyway."""


@contextlib.contextmanager
def serving(
    host: str, port: int, probes: Mapping[str, Callable[[], Verdict]], metrics: Callable[[], str]
) -> Iterator[None]:
    """Answer on ``host:port`` while the block runs: each probe under its path, and /metrics.

    Raises:
        Failure: the address is taken.
    """
    handler = type("Handler", (_Handler,), {"probes": probes, "metrics": staticmethod(metrics)})
    try:
        server = _Server((host, port), handler)
    except OSError as error:
        raise Failure(f"cannot listen on {host}:{port}: {error.strerror}") from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
