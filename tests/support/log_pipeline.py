"""The real Collectors as components ship them, from files of containers to a store.

    with log_pipeline.running(ELASTICSEARCH, checkout, folder) as pipeline:
        pipeline.log.write(['{"message": "hi"}'])

What runs is rendered: an environment that lists the component, its ConfigMaps, the arguments of its
containers. Replaced is what a machine without a cluster does not have, in `_agent`, `_gateway` and
what an `Engine` says of its store.
"""

import contextlib
import json
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, merge, text
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from tests.support import elasticsearch, opensearch, variation
from tests.support.container_log import ContainerLog
from tests.support.parent_death import bind_to_parent
from tests.support.processes import eventually, free_ports
from tests.support.search_node import SearchNode

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
        index: what holds the lines.
        pods: what stands for /var/log/pods.
        log: a server's container in it.
    """

    index: str
    pods: Path
    log: ContainerLog
    agent: Collector
    gateway: Collector
    store: SearchNode


@dataclass(frozen=True)
class Engine:
    """A store, and how its component's gateway writes to it.

    Attributes:
        component: the variation that lists it.
        gateway: the program.
        index: what the gateway writes to.
        running: starts a node.
        prepare: writes into it what the component's Job does, as far as its libraries take it.
        exporter: of the gateway's exporters, with what is replaced, from them and the node's URL.
    """

    component: str
    gateway: str
    index: str
    running: Callable[[Repository, Path], AbstractContextManager[SearchNode]]
    prepare: Callable[[SearchNode, Environment], None]
    exporter: Callable[[Value, str], Value]

    def missing(self, repository: Repository) -> str:
        """The command that builds what is not built, or nothing."""
        programs = ("otel-agent", self.gateway)
        names = [name for name in programs if not tools.at_hand(repository, name)]
        return f"harness tools {' '.join(names)}" if names else ""


@contextlib.contextmanager
def running(
    engine: Engine, repository: Repository, folder: Path, queue: Path | None = None
) -> Iterator[Pipeline]:
    """All three, until the block ends.

    Args:
        engine: the store.
        repository: whose pinned programs they are.
        folder: where everything is.
        queue: where the agent's queue is, if not in ``folder``.
    """
    environment = _environment(engine.component, folder / "repository")
    pods = folder / "pods"
    pods.mkdir()
    with contextlib.ExitStack() as until:
        store = until.enter_context(engine.running(repository, folder / "store"))
        engine.prepare(store, environment)
        otlp, *ports = free_ports(5)
        program = tools.find(repository, engine.gateway)
        argv = _arguments(environment, "Deployment", "gateway", folder)
        configuration = _configuration(environment, "gateway", "gateway.yaml")
        exporters = engine.exporter(mapping(configuration, "exporters"), store.url)
        whole = {**configuration, "exporters": exporters}
        _write(folder / "gateway.yaml", _gateway(whole, otlp, ports[:2]))
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
        yield Pipeline(engine.index, pods, ContainerLog(pods), agent, gateway, store)


def _environment(component: str, folder: Path) -> Environment:
    """Staging as it is with the component."""
    repository = variation.load(variation.TESTDATA / "valid" / component).lay_out(folder)
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


def _gateway(configuration: Value, otlp: int, ports: list[int]) -> Value:
    """Replaced: its own ports."""
    receiver = {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{otlp}"}}}
    return merge(merge(configuration, {"receivers": {"otlp": receiver}}), _own_ports(ports))


def _own_ports(ports: list[int]) -> Value:
    metrics, health = ports
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": metrics}}}}
    return {
        "extensions": {"health_check": {"endpoint": f"127.0.0.1:{health}"}},
        "service": {"telemetry": {"metrics": {"readers": [reader]}}},
    }


def _configuration(environment: Environment, name: str, file: str) -> Value:
    return mapping(yaml.safe_load(_file(environment, name, file)))


def _file(environment: Environment, name: str, file: str) -> str:
    maps = [each for each in environment.of("ConfigMap") if each.name.startswith(f"{name}-")]
    return next(text(each.value, "data", file) for each in maps if text(each.value, "data", file))


def _write(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(yaml.safe_dump(dict(value)))


def _prepare_elasticsearch(store: SearchNode, environment: Environment) -> None:
    """Without what the libraries lack: retention."""
    template = json.loads(_file(environment, "setup", "template.json"))
    del template["template"]["settings"]["index"]["lifecycle"]
    store.put("_index_template/logs-torchserve", mapping(template))


def _to_elasticsearch(exporters: Value, url: str) -> Value:
    """Replaced: address; TLS and user, which the libraries lack; a key of a later version."""
    exporter = dict(mapping(exporters, "elasticsearch"))
    for key in ("user", "password", "tls"):
        del exporter[key]
    # docs/decisions/0030-logs.md: what the pinned version reads of `sending_queue`.
    assert mapping(exporter, "sending_queue") == {"enabled": False}
    return {"elasticsearch": {**exporter, "endpoints": [url], "batcher": {"enabled": False}}}


def _prepare_opensearch(store: SearchNode, environment: Environment) -> None:
    """Without what the libraries lack: retention."""
    template = json.loads(_file(environment, "setup", "template.json"))
    del template["template"]["settings"]["index"]["plugins.index_state_management.rollover_alias"]
    pipeline = json.loads(_file(environment, "setup", "pipeline.json"))
    store.put("_ingest/pipeline/logs-torchserve", mapping(pipeline))
    store.put("_index_template/logs-torchserve", mapping(template))
    alias: Value = {"logs-torchserve": {"is_write_index": True}}
    store.put("logs-torchserve-000001", {"aliases": alias})


def _to_opensearch(exporters: Value, url: str) -> Value:
    """Replaced: address; TLS, which the libraries lack; a key of a later version."""
    exporter = dict(mapping(exporters, "opensearch"))
    # docs/decisions/0030-logs.md: the pinned version has no queue.
    assert exporter.pop("sending_queue") == {"enabled": False}
    http = {key: each for key, each in mapping(exporter, "http").items() if key != "tls"}
    return {"opensearch": {**exporter, "http": {**http, "endpoint": url}}}


ELASTICSEARCH = Engine(
    "logged",
    "otel-gateway",
    "logs-torchserve-default",
    elasticsearch.running,
    _prepare_elasticsearch,
    _to_elasticsearch,
)
OPENSEARCH = Engine(
    "opensearch",
    "otel-opensearch-gateway",
    "logs-torchserve",
    opensearch.running,
    _prepare_opensearch,
    _to_opensearch,
)
