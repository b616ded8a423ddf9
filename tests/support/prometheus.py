"""A real Prometheus on loopback, under a configuration that a test hands it.

    with prometheus.running(checkout, tmp_path, configuration, {"rules.yaml": rules}) as server:
        eventually(lambda: server.query("up"))

What ships, as the operator writes it, is in tests/support/monitoring.py.
"""

import contextlib
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, text
from tests.support.parent_death import bind_to_parent
from tests.support.processes import eventually, free_ports

_ENDS = 30.0  # seconds


@dataclass(frozen=True)
class Prometheus:
    """A server that runs, and what it is asked over its own interface."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def query(self, expression: str) -> list[object]:
        """The result of an instant query; empty while it does not answer."""
        return items(self._get(f"query?query={urllib.parse.quote(expression)}"), "data", "result")

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[object]:
        """The result over a time, all in seconds."""
        query = urllib.parse.urlencode(
            {"query": expression, "start": start, "end": end, "step": step}
        )
        return items(self._get(f"query_range?{query}"), "data", "result")

    def alerts(self) -> list[Value]:
        """What fires or is pending, with labels and annotations."""
        return [mapping(each) for each in items(self._get("alerts"), "data", "alerts")]

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        firing = [each for each in self.alerts() if text(each, "state") == "firing"]
        return {text(each, "labels", "alertname") for each in firing}

    def targets(self) -> list[Value]:
        """What it scrapes, each with ``labels``, ``scrapeUrl``, ``health`` and ``lastError``."""
        return [mapping(each) for each in items(self._get("targets"), "data", "activeTargets")]

    def delete_series(self, *, but: str) -> None:
        """Forget every sample but those of one metric: what fired because of them resolves."""
        selector = urllib.parse.quote(f'{{__name__!="{but}"}}')
        where = f"{self.url}/api/v1/admin/tsdb/delete_series?match[]={selector}"
        with urllib.request.urlopen(urllib.request.Request(where, method="POST"), timeout=10):
            pass

    def _get(self, path: str) -> Value:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=10) as response:
                return mapping(json.load(response))
        except OSError:
            return {}


@contextlib.contextmanager
def running(
    repository: Repository,
    folder: Path,
    configuration: Value,
    rules: Mapping[str, Value],
    port: int = 0,
) -> Iterator[Prometheus]:
    """The server, with its data in ``folder/tsdb``, for as long as the block runs.

    Args:
        repository: whose pinned program it is.
        folder: where configuration, rules, data and log go.
        configuration: as of prometheus.yaml; ``rule_files`` are replaced by ``rules``.
        rules: the content of each rule file by its name.
        port: where it listens; by default a free one.
    """
    port = port or free_ports(1)[0]
    for name, content in rules.items():
        (folder / name).write_text(yaml.safe_dump(content))
    whole = {**configuration, "rule_files": list(rules)}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(whole))
    argv: list[str | Path] = [tools.find(repository, "prometheus")]
    argv += ["--config.file=prometheus.yaml", "--storage.tsdb.path=tsdb"]
    argv += [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-admin-api"]
    # An alert that Prometheus no longer confirms ends in Alertmanager after four of these.
    argv += ["--rules.alert.resend-delay=1s"]
    with program(argv, folder / "prometheus.log", folder):
        server = Prometheus(port)
        eventually(lambda: server.query("vector(1)"))
        yield server


@contextlib.contextmanager
def program(
    argv: list[str | Path], log: Path, folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A process of one of the tools, stopped when the block ends."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            bind_to_parent(argv), cwd=folder, env=env, stdout=out, stderr=out
        )
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(_ENDS)
