"""A real Alertmanager on loopback, and a receiver that keeps what it is told.

with receiver() as people, running(checkout, tmp_path, output.alerting, people.port) as server:
    server.post({"alertname": "X", "severity": "page"})
    eventually(lambda: people.messages("page"))
"""

import contextlib
import json
import re
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, text
from tests.support.processes import eventually, free_ports
from tests.support.prometheus import program


@dataclass
class Receiver:
    """Who is told: each message of Alertmanager's webhook, under the last word of its address."""

    port: int
    log: list[tuple[str, Value]] = field(default_factory=list)

    def messages(self, name: str) -> list[Value]:
        """What arrived for one receiver."""
        return [message for path, message in self.log if path == f"/{name}"]

    def alerts(self, name: str, status: str) -> list[Value]:
        """The alerts that one receiver was told of as ``firing`` or ``resolved``."""
        return [
            mapping(alert)
            for message in self.messages(name)
            for alert in items(message, "alerts")
            if text(alert, "status") == status
        ]


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """An HTTP server that takes every message."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            people.log.append((self.path, mapping(json.loads(body))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        people = Receiver(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield people
        server.shutdown()


@dataclass(frozen=True)
class Alertmanager:
    """A server that runs, and what it is asked over its own interface."""

    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def post(self, *alerts: dict[str, str]) -> None:
        """Send alerts, by their labels, as Prometheus does."""
        self._ask("alerts", [{"labels": labels} for labels in alerts])

    def status(self, name: str) -> Value:
        """Of an alert: ``state``, and what it is inhibited and silenced by."""
        for alert in self._ask("alerts"):
            if text(alert, "labels", "alertname") == name:
                return mapping(alert, "status")
        return {}

    def _ask(self, path: str, body: object = None) -> list[object]:
        data = json.dumps(body).encode() if body else None
        headers = {"Content-Type": "application/json"}
        where = f"http://{self.address}/api/v2/{path}"
        request = urllib.request.Request(where, data, headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = response.read()
        return items({"": json.loads(answer)}, "") if answer else []

    def answers(self) -> bool:
        try:
            self._ask("alerts")
        except OSError:
            return False
        return True


@contextlib.contextmanager
def running(
    repository: Repository, folder: Path, configuration: Value, receiver_port: int
) -> Iterator[Alertmanager]:
    """The server for as long as the block runs.

    Replaced in its configuration are the addresses of the receivers, by ``receiver_port`` on
    loopback, and how long it gathers alerts before a message: a second.
    """
    (port,) = free_ports(1)
    whole = yaml.safe_dump(configuration)
    whole = re.sub(r"http://127\.0\.0\.1:1/", f"http://127.0.0.1:{receiver_port}/", whole)
    whole = re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", whole)
    (folder / "alertmanager.yaml").write_text(whole)
    argv: list[str | Path] = [tools.find(repository, "alertmanager")]
    argv += ["--config.file=alertmanager.yaml", "--storage.path=alertmanager"]
    argv += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with program(argv, folder / "alertmanager.log", folder):
        server = Alertmanager(port)
        eventually(server.answers)
        yield server
