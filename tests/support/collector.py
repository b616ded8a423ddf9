"""An imitation of a collector: takes spans by OTLP over HTTP, and keeps them for a test."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any


class Collector(http.server.ThreadingHTTPServer):
    """Answers with ``statuses`` in turn, then with 200; only what that accepts is kept."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []
        self.calls = 0
        self.spans: list[dict[str, Any]] = []
        self.resources: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans_of(self, name: str) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["name"] == name]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls += 1
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 200 and self.path == "/v1/traces":
            for each in body["resourceSpans"]:
                self.server.resources.append(plain(each["resource"]))
                for scope in each["scopeSpans"]:
                    self.server.spans.extend(scope["spans"])
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Quiet."""


def plain(holder: dict[str, Any]) -> dict[str, Any]:
    """Attributes as a dictionary; a number is text, as OTLP has it."""
    return {each["key"]: next(iter(each["value"].values())) for each in holder["attributes"]}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()
