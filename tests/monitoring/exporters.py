"""Exporters that do not run here, played from recorded samples (tests/testdata/exporters)."""

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "testdata/exporters"
_GAINING = re.compile(r"^(?P<series>.+ )(?P<start>[\d.]+)\+(?P<step>[\d.]+)$", re.MULTILINE)


def text_after(sample: str, seconds: float) -> str:
    """What an exporter says so many seconds after the first scrape: its counters have grown."""
    return _GAINING.sub(
        lambda line: f"{line['series']}{float(line['start']) + float(line['step']) * seconds}",
        sample,
    )


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """The port at which ``/NAME`` is the exporter NAME."""
    since = time.monotonic()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sample = (SAMPLES / f"{Path(self.path).name}.txt").read_text()
            body = text_after(sample, time.monotonic() - since).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing of each scrape."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
