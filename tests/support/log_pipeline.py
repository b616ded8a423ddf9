"""The real Collectors as infra/logging ships them, from files of containers to Elasticsearch.

    with log_pipeline.running(checkout, folder) as pipeline:
        pipeline.log.write(['{"message": "hi"}'])

What runs is rendered: an environment that lists the component, its ConfigMaps, the arguments of its
containers. Replaced is what a machine without a cluster does not have, in `_agent` and `_gateway`.
"""

import contextlib
import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, merge, text
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from tests.support import elasticsearch, variation
from tests.support.container_log import ContainerLog
from tests.support.elasticsearch import Elasticsearch
from tests.support.parent_death import bind_to_parent
from tests.support.processes import eventually, free_ports

PROGRAMS = ("otel-agent", "otel-gateway")
INDEX = "logs-torchserve-default"
_ENDS = 30.0  # seconds


@dataclass
class Collector:
    """One of the two: a process that can be killed and comes back with what is on its disk."""

    argv: list[str]
    log: Path
    metrics: int
    health: int
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def start(self) -> None:
        """Start it; it is healthy when this returns."""
        with self.log.open("ab") as out:
            env = {"NODE_NAME": "node-0", "ELASTICSEARCH_PASSWORD": "none"}
            self.process = subprocess.Popen(
                bind_to_parent(self.argv), env=env, stdout=out, stderr=out
            )
        eventually(lambda: self._get(self.health, ""))

    def kill(self) -> None:
        """End it with no chance to write anything."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal, and wait for its end."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(_ENDS)

    def use(self) -> tuple[float, float]:
        """CPU seconds and MiB of memory so far."""
        assert self.process
        process = psutil.Process(self.process.pid)
        times = process.cpu_times()
        return times.user + times.system, process.memory_info().rss / 2**20

    def figure(self, name: str) -> float:
        """The sum of a figure's series; 0 if it has none yet."""
        lines = self._get(self.metrics, "metrics").splitlines()
        series = [line for line in lines if line.startswith((f"{name}{{", f"{name} "))]
        return sum(float(line.rpartition(" ")[2]) for line in series)

    def _get(self, port: int, path: str) -> str:
        assert self.process
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as response:
                return str(response.read().decode())
        except OSError:
            return ""


@dataclass(frozen=True)
class Pipeline:
    """A node's agent, a gateway and a store.

    Attributes:
        pods: what stands for /var/log/pods.
        log: a server's container in it.
    """

    pods: Path
    log: ContainerLog
    agent: Collector
    gateway: Collector
    store: Elasticsearch


def missing(repository: Repository) -> str:
    """The command that builds what is not built, or nothing."""
    names = [name for name in PROGRAMS if not tools.at_hand(repository, name)]
    return f"harness tools {' '.join(names)}" if names else ""


@contextlib.contextmanager
def running(repository: Repository, folder: Path, queue: Path | None = None) -> Iterator[Pipeline]:
    """All three, until the block ends.

    Args:
        repository: whose pinned programs they are.
        folder: where everything is.
        queue: where the agent's queue is, if not in ``folder``.
    """
    environment = _environment(folder / "repository")
    pods = folder / "pods"
    pods.mkdir()
    with contextlib.ExitStack() as until:
        store = until.enter_context(elasticsearch.running(repository, folder / "elasticsearch"))
        store.put("_index_template/logs-torchserve", _template(environment))
        otlp, *ports = free_ports(5)
        program = tools.find(repository, "otel-gateway")
        argv = _arguments(environment, "Deployment", "gateway", folder)
        _write(folder / "gateway.yaml", _gateway(environment, store.url, otlp, ports[:2]))
        gateway = Collector([str(program), *argv], folder / "gateway.log", ports[0], ports[1])
        until.callback(gateway.end)
        gateway.start()
        program = tools.find(repository, "otel-agent")
        argv = _arguments(environment, "DaemonSet", "agent", folder)
        state = (folder / "offsets", queue or folder / "queue")
        _write(folder / "agent.yaml", _agent(environment, pods, state, otlp, ports[2:]))
        agent = Collector([str(program), *argv], folder / "agent.log", ports[2], ports[3])
        until.callback(agent.end)
        agent.start()
        yield Pipeline(pods, ContainerLog(pods), agent, gateway, store)


def _environment(folder: Path) -> Environment:
    """Staging as it is with the component."""
    repository = variation.load(variation.TESTDATA / "valid/logged").lay_out(folder)
    return Renderer(repository).candidate("staging")


def _arguments(environment: Environment, kind: str, name: str, folder: Path) -> list[str]:
    """Of the container; the folder of its configuration is replaced."""
    value = environment.find(kind, name)
    assert value
    pod = mapping(value.value, "spec", "template", "spec")
    return [
        str(each).replace(f"/etc/otel-{name}", str(folder))
        for each in items(pod, "containers", 0, "args")
    ]


def _agent(
    environment: Environment, pods: Path, state: tuple[Path, Path], otlp: int, ports: list[int]
) -> Value:
    """Replaced: folders, the gateway's address, its own ports."""
    configuration = _configuration(environment, "agent", "agent.yaml")
    receiver = mapping(configuration, "receivers", "file_log")
    places = {
        key: [str(each).replace("/var/log/pods", str(pods)) for each in items(receiver, key)]
        for key in ("include", "exclude")
    }
    offsets, queue = ({"directory": str(each)} for each in state)
    changes = {
        "receivers": {"file_log": places},
        "exporters": {"otlp_grpc": {"endpoint": f"127.0.0.1:{otlp}"}},
        "extensions": {
            "file_storage/offsets": {**offsets, "compaction": offsets},
            "file_storage/queue": {**queue, "compaction": queue},
        },
    }
    return merge(merge(configuration, changes), _own_ports(ports))


def _gateway(environment: Environment, store: str, otlp: int, ports: list[int]) -> Value:
    """Replaced: addresses; TLS and user, which the libraries lack; a key of a later version."""
    configuration = _configuration(environment, "gateway", "gateway.yaml")
    exporter = dict(mapping(configuration, "exporters", "elasticsearch"))
    for key in ("user", "password", "tls"):
        del exporter[key]
    # docs/decisions/0030-logs.md: what the pinned version reads of `sending_queue`.
    assert mapping(exporter, "sending_queue") == {"enabled": False}
    exporter |= {"endpoints": [store], "batcher": {"enabled": False}}
    receiver = {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{otlp}"}}}
    whole = {**configuration, "exporters": {"elasticsearch": exporter}}
    return merge(merge(whole, {"receivers": {"otlp": receiver}}), _own_ports(ports))


def _own_ports(ports: list[int]) -> Value:
    metrics, health = ports
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": metrics}}}}
    return {
        "extensions": {"health_check": {"endpoint": f"127.0.0.1:{health}"}},
        "service": {"telemetry": {"metrics": {"readers": [reader]}}},
    }


def _configuration(environment: Environment, name: str, file: str) -> Value:
    return mapping(yaml.safe_load(_file(environment, name, file)))


def _template(environment: Environment) -> Value:
    """Without what the libraries lack: retention; one node has no place for a replica either."""
    template = json.loads(_file(environment, "setup", "template.json"))
    settings = template["template"]["settings"]["index"]
    del settings["lifecycle"]
    return mapping(template)


def _file(environment: Environment, name: str, file: str) -> str:
    maps = [each for each in environment.of("ConfigMap") if each.name.startswith(f"{name}-")]
    return next(text(each.value, "data", file) for each in maps if text(each.value, "data", file))


def _write(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(yaml.safe_dump(dict(value)))
