"""Lines of the gateway's access log: Envoy is real, its server is played.

with access_log.serving() as port:
    (line,) = access_log.lines(program, tmp_path, [port], ["/predictions/cat"])
"""

import contextlib
import http.client
import http.server
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.monitoring import envoy
from tests.support.processes import PATIENCE, eventually

SECRETS = ("TOKEN", "COOKIE", "QUERY", "PAYLOAD", "ANSWER")
"""What is in each request, or in its answer, and nobody's business."""

TRACE = f"{5:032x}"
"""The trace that each request names."""

REQUEST = "d0026d40-1315-4b9b-aace-1311bdc687c9"
"""The server's id of each request."""


class _Server(http.server.BaseHTTPRequestHandler):
    """Answers as TorchServe does, with an id of its own."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("x-request-id", REQUEST)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"ANSWER")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """A server, by its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def lines(
    program: Path, folder: Path, servers: list[int], paths: Sequence[str], collector: int = 0
) -> list[str]:
    """Return what Envoy writes of one request to each path.

    Args:
        program: Envoy.
        folder: of its files.
        servers: ports of the route's endpoints.
        paths: none twice.
        collector: port for spans; without one there is no tracing.
    """
    with envoy.running(program, folder, servers, collector) as gateway:
        for path in paths:
            _post(gateway.port, path)
        written = eventually(lambda: _read_all(gateway.access_log, len(paths)))
    by_path = {json.loads(line)["path"]: line for line in written}
    return [by_path[path] for path in paths]


def _post(port: int, path: str) -> None:
    headers = {
        "Authorization": "Bearer TOKEN",
        "Cookie": "session=COOKIE",
        "traceparent": f"00-{TRACE}-{6:016x}-01",
    }
    address = ("127.0.0.1", port)
    with contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as call:
        call.request("POST", f"{path}?key=QUERY", b"PAYLOAD", headers)
        call.getresponse().read()


def _read_all(file: Path, count: int) -> list[str]:
    written = file.read_text().splitlines()
    return written if len(written) == count else []
