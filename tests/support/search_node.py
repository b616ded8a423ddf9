"""One node of a search engine on loopback, from its Java libraries: what both engines share.

with search_node.running("elasticsearch", lock, checkout, tmp_path) as store:
    store.put("_index_template/logs", template)
"""

import contextlib
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.repository import Repository
from harness.core.values import Value, items, mapping
from harness.jars import fetch
from tests.support.parent_death import bind_to_parent
from tests.support.processes import eventually, free_ports

_HEAP = "512m"  # 2,000 documents a second need 300 MB of it
_ENDS = 30.0  # seconds
_UNAVAILABLE = (408, 503)  # a shard is not there yet
_LOG = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1.} %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


class Unavailable(AssertionError):  # noqa: N818 - it is one
    """It runs, and the index has no shard that answers: not yet, or no longer."""


@dataclass
class SearchNode:
    """A node, and what it is asked over HTTP.

    Attributes:
        engine: the package next to this module whose ``__main__`` is the node's process.
        folder: where its data, configuration and log are; a killed node starts with them again.
    """

    engine: str
    jars: Path
    folder: Path
    port: int
    transport: int
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; it answers when this returns."""
        ports = (str(self.port), str(self.transport))
        argv: list[str | Path] = [
            sys.executable,
            "-m",
            f"tests.support.{self.engine}",
            self.jars,
            self.folder,
            *ports,
            _HEAP,
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(bind_to_parent(argv), stdout=log, stderr=log)
        eventually(self._is_up)

    def kill(self) -> None:
        """End it as a node that loses power does, but for the system's cache of files."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def put(self, path: str, body: Value) -> None:
        """PUT an object, such as ``_index_template/NAME``."""
        self.ask("PUT", path, body)

    def hits(self, index: str, query: Value, size: int = 100) -> list[Value]:
        """The documents that a query finds, after a refresh: none before the index is there."""
        if not self.count(index):
            return []
        answer = self.ask("POST", f"{index}/_search", {"query": query, "size": size})
        return [mapping(each, "_source") for each in items(answer, "hits", "hits")]

    def count(self, index: str) -> int:
        """How many documents there are, after a refresh."""
        try:
            self.ask("POST", f"{index}/_refresh?ignore_unavailable=true")
            answer = self.ask("POST", f"{index}/_count?ignore_unavailable=true")
        except Unavailable:
            return 0
        count = answer["count"]
        assert isinstance(count, int)
        return count

    def ask(self, method: str, path: str, body: Value | None = None) -> Value:
        """Its answer; an error of its is one here, with its text."""
        request = urllib.request.Request(
            f"{self.url}/{path}",
            json.dumps(body).encode() if body is not None else None,
            {"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return mapping(json.load(response))
        except urllib.error.HTTPError as error:
            kind = Unavailable if error.code in _UNAVAILABLE else AssertionError
            raise kind(f"{method} {path}: {error.read().decode()}") from error

    def _end(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait(_ENDS)

    def _is_up(self) -> bool:
        assert self.process
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            self.ask("GET", "_cluster/health?wait_for_status=yellow&timeout=1s")
        except (OSError, Unavailable):
            return False
        return True


@contextlib.contextmanager
def running(engine: str, lock: Path, repository: Repository, folder: Path) -> Iterator[SearchNode]:
    """A node with its data in ``folder``, for as long as the block runs.

    Args:
        engine: ``elasticsearch`` or ``opensearch``.
        lock: of its Java libraries, which are fetched once.
        repository: where they are kept.
        folder: of the node; it need not be there.
    """
    jars = repository.build / engine / "jars"
    fetch.fetch(lock, jars)
    http, transport = free_ports(2)
    node = SearchNode(engine, jars, folder, http, transport)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        node.start()
        yield node
    finally:
        node.kill()


def configure(engine: str, home: Path, port: str, transport: str) -> None:
    """Write a node's configuration: both engines read the same keys.

    Args:
        engine: ``elasticsearch`` or ``opensearch``.
        home: the node's folder.
        port: for HTTP.
        transport: the port that other nodes would ask.
    """
    for name in ("config", "plugins", "lib"):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / "config/log4j2.properties").write_text(_LOG)
    (home / f"config/{engine}.yml").write_text(
        f"discovery.type: single-node\nnetwork.host: 127.0.0.1\nhttp.port: {port}\n"
        f"transport.port: {transport}\npath.data: {home}/data\npath.logs: {home}/logs\n"
        # Of a machine that runs tests nothing is kept free.
        "cluster.routing.allocation.disk.threshold_enabled: false\n"
    )
