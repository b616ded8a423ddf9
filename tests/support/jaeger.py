"""A real Jaeger under the configuration that infra/tracing ships, on loopback.

    with jaeger.running(checkout, tmp_path) as server:
        ...
        eventually(lambda: server.spans(trace_id))

Replaced: its addresses, and the folder of its store.
"""

import contextlib
import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, text
from harness.render.renderer import Renderer
from tests.support import variation
from tests.support.parent_death import bind_to_parent
from tests.support.processes import eventually, free_ports

_ENDS = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Span:
    """One span of a trace, as Jaeger answers it.

    Attributes:
        service: who recorded it.
        name: its operation.
        identity: its id, 16 hexadecimal digits.
        parent: that of the span that it is a child of; empty for a trace's first.
        links: the ids of the spans that it links to.
        start: in microseconds of Unix time.
        duration: in microseconds.
        attributes: its own.
    """

    service: str
    name: str
    identity: str
    parent: str
    links: tuple[str, ...]
    start: int
    duration: int
    attributes: Mapping[str, object]


@dataclass
class Jaeger:
    """A server that runs, can be killed, and comes back with what is on its disk."""

    argv: list[str]
    log: Path
    query: int
    grpc: int
    http: int
    health: int
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def start(self) -> None:
        """Start it; it is ready when this returns."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(self.argv, stdout=out, stderr=out)
        eventually(self._is_ready)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal, and wait for its end."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(_ENDS)

    def spans(self, trace_id: str) -> list[Span]:
        """The spans of a trace so far, the first to start first."""
        answer = self._get(f"http://127.0.0.1:{self.query}/api/traces/{trace_id}")
        spans = [
            _span(mapping(each), mapping(trace, "processes"))
            for trace in items(answer, "data")
            for each in items(trace, "spans")
        ]
        return sorted(spans, key=lambda each: (each.start, -each.duration))

    def _is_ready(self) -> bool:
        assert self.process
        assert self.process.poll() is None, self.log.read_text()
        return text(self._get(f"http://127.0.0.1:{self.health}/status"), "status") == "StatusOK"

    def _get(self, url: str) -> Value:
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return mapping(json.load(response))
        except OSError:
            return {}


def _span(span: Value, processes: Value) -> Span:
    references = [mapping(each) for each in items(span, "references")]
    by_kind = {
        kind: [text(each, "spanID") for each in references if text(each, "refType") == kind]
        for kind in ("CHILD_OF", "FOLLOWS_FROM")
    }
    return Span(
        service=text(processes, text(span, "processID"), "serviceName"),
        name=text(span, "operationName"),
        identity=text(span, "spanID"),
        parent="".join(by_kind["CHILD_OF"][:1]),
        links=tuple(by_kind["CHILD_OF"][1:] + by_kind["FOLLOWS_FROM"]),
        start=int(str(span["startTime"])),
        duration=int(str(span["duration"])),
        attributes={text(each, "key"): mapping(each)["value"] for each in items(span, "tags")},
    )


@contextlib.contextmanager
def running(repository: Repository, folder: Path) -> Iterator[Jaeger]:
    """The server, with its store in ``folder/data``, for as long as the block runs."""
    query, query_grpc, grpc, http, health = free_ports(5)
    configuration = _configuration(folder / "repository")
    for before, after in {
        "127.0.0.1:16686": f"127.0.0.1:{query}",
        "127.0.0.1:16685": f"127.0.0.1:{query_grpc}",
        "0.0.0.0:4317": f"127.0.0.1:{grpc}",
        "0.0.0.0:4318": f"127.0.0.1:{http}",
        "0.0.0.0:13133": f"127.0.0.1:{health}",
        "/data/": f"{folder}/data/",
    }.items():
        assert before in configuration, before
        configuration = configuration.replace(before, after)
    (folder / "jaeger.yaml").write_text(configuration)
    program = tools.find(repository, "jaeger")
    argv = bind_to_parent([program, f"--config={folder / 'jaeger.yaml'}"])
    server = Jaeger(argv, folder / "jaeger.log", query, grpc, http, health)
    try:
        server.start()
        yield server
    finally:
        server.end()


def _configuration(folder: Path) -> str:
    """jaeger.yaml of the ConfigMap that an environment with the component has."""
    repository = variation.load(variation.TESTDATA / "valid/traced").lay_out(folder)
    maps = Renderer(repository).candidate("staging").of("ConfigMap")
    configuration = next(text(each.value, "data", "jaeger.yaml") for each in maps if _is(each.name))
    assert yaml.safe_load(configuration)
    return configuration


def _is(name: str) -> bool:
    return name.startswith("jaeger-")
