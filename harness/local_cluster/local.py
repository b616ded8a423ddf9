"""A whole cluster on this machine: start it, give it commits, take it away.

with local.running(repository, "try") as cluster:
    commit = cluster.sync(cluster.bare.commit({...}, "A change"))
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness import tools
from harness.core import console, files
from harness.core.errors import HarnessError, UsageError
from harness.core.repository import Repository
from harness.kubernetes import api, kubeconfig, reconciliation
from harness.kubernetes.api import Api
from harness.local_cluster import (
    bare_repository,
    control_plane,
    external_cluster,
    flux,
    install,
    nodes,
    pki,
    placeholder_commit,
    supervisor,
)
from harness.local_cluster.ports import Ports
from harness.local_cluster.real import control_groups, sandbox
from harness.local_cluster.real import ground as real
from harness.local_cluster.real.ground import KWOK, Ground
from harness.local_cluster.real.network import SANDBOX
from harness.local_cluster.supervisor import Component, Plan, State
from harness.schema import catalog

PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "source-controller",
    "kustomize-controller",
    "helm-controller",
)
_RECORD = "cluster.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_READY = 120.0  # seconds for every component; 6 on a quiet machine
_SYNC = 240.0  # seconds for everything to be Ready; 10 to 25 on a quiet machine
_DOWN = 20.0  # seconds for the supervisor to stop all of them; 2 on a quiet machine
_POLL = 0.05
_TRIES = 8  # starts of a component that has never been ready, before it is given up
_TAIL = 15  # lines of a log that an error shows


@dataclass(frozen=True)
class LocalCluster:
    """A cluster that was started here.

    Attributes:
        repository: what it was started from.
        name: of its folder under build/cluster.
        env: the environment that it follows.
        ports: where its components listen.
        real: how many real nodes it has; with none, its nodes are kwok's.
    """

    repository: Repository
    name: str
    env: str
    ports: Ports
    real: int = 0

    @property
    def folder(self) -> Path:
        """Everything that belongs to it: keys, data, logs, the bare repository."""
        return _folder(self.repository, self.name)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, for kubectl."""
        return self.folder / "kubeconfig.yaml"

    @property
    def bare(self) -> bare_repository.Bare:
        """The repository that Flux fetches."""
        return bare_repository.Bare(self.folder / "git" / bare_repository.NAME)

    @property
    def url(self) -> str:
        """Where Flux fetches it."""
        return f"{self.ports.git_server}/{bare_repository.NAME}"

    @cached_property
    def api(self) -> Api:
        """Its API server."""
        return api.connect(self.kubeconfig)

    @property
    def state(self) -> State:
        """Return the last state that its supervisor wrote.

        Raises:
            HarnessError: it has written none.
        """
        if state := supervisor.read_state(self.folder):
            return state
        raise HarnessError("the supervisor has not started", at=self.folder / "logs")

    @property
    def external(self) -> bool:
        """Return whether its control plane is that of an external cluster."""
        return "kube-apiserver" not in self.state.components

    @property
    def alive(self) -> bool:
        """Return whether its supervisor runs."""
        state = supervisor.read_state(self.folder)
        return state is not None and state.supervisor.alive

    def take(self) -> str:
        """Commit the working tree, filled in for this machine, to main; return the commit."""
        changes = placeholder_commit.changes(self.repository, self.env, self.url)
        return self.bare.take(self.repository, changes)

    def follow(self, env: str = "", url: str = "") -> None:
        """Let Flux follow ``clusters/<env>`` on ``main`` of its own Git server, or of another."""
        for value in flux.root(url or self.url, env or self.env):
            self.api.apply(value)

    def sync(self, commit: str, *, seconds: float = _SYNC) -> None:
        """Have Flux fetch now, and wait until everything of ``commit`` is applied and Ready.

        Raises:
            HarnessError: something is not Ready in time; the text names it and why.
        """
        reconciliation.request(self.api)
        reconciliation.wait(self.api, commit, seconds=seconds)

    @contextlib.contextmanager
    def hold(self, name: str, seconds: float = _READY) -> Iterator[None]:
        """Keep a component down while the block runs; then everything has so long to be ready."""
        hold = self.folder / f"{name}.hold"
        hold.touch()
        try:
            self.wait_for(lambda state: state.components[name].phase == "held")
            yield
        finally:
            hold.unlink()
            self.wait_for(lambda state: state.ready, seconds=seconds)

    def kill(self, name: str) -> None:
        """``kill -9`` a component; the supervisor starts it again."""
        self.state.components[name].process.signal(signal.SIGKILL)

    def wait_for(self, condition: Callable[[State], bool], *, seconds: float = _READY) -> State:
        """Wait until ``condition`` holds for the supervisor's state.

        Raises:
            HarnessError: it does not; the text names the component and shows its log.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = supervisor.read_state(self.folder)
            if state and condition(state):
                return state
            if state and not state.supervisor.alive:
                raise HarnessError("the supervisor has ended", at=self.folder / "supervisor.log")
            if state and any(
                each.restarts >= _TRIES and not each.seconds for each in state.components.values()
            ):
                break
            time.sleep(_POLL)
        raise HarnessError(
            f"timed out after {seconds:g} s waiting for the components\n{self._unready_report()}",
            at=self.folder,
        )

    def _unready_report(self) -> str:
        late = {
            name: each
            for name, each in self.state.components.items()
            if each.phase not in ("ready", "ended")
        }
        lines = [f"  {name}: {each.phase}" for name, each in late.items()]
        for name in late:
            log = self.folder / "logs" / f"{name}.log"
            if log.exists():
                lines += ["", f"{log}:", *log.read_text(errors="replace").splitlines()[-_TAIL:]]
        return "\n".join(lines)


def find(repository: Repository, name: str) -> LocalCluster | None:
    """Return the cluster of this name that was started here, or None if there is none."""
    record = _folder(repository, name) / _RECORD
    if not record.exists():
        return None
    data = json.loads(record.read_text())
    numbers: dict[str, Any] = {
        each: tuple(number) if isinstance(number, list) else number
        for each, number in data["ports"].items()
    }
    return LocalCluster(repository, name, data["env"], Ports(**numbers), data["real"])


def up(repository: Repository, name: str, env: str, ground: Ground = KWOK) -> LocalCluster:
    """Start a cluster that stays until ``down``; one that runs is not restarted.

    Raises:
        HarnessError: it does not become ready.
    """
    existing = find(repository, name)
    if existing and existing.alive and (existing.env, existing.real) == (env, ground.nodes):
        # Whoever started it may have been cut short while it started.
        existing.wait_for(lambda state: state.ready, seconds=ground.seconds)
        return existing
    cluster = _prepare(repository, name, env, env, ground=ground)
    with (
        console.step("start Kubernetes and Flux"),
        (cluster.folder / "supervisor.log").open("wb") as log,
    ):
        subprocess.run(
            [*_supervisor(cluster), "--detach"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=True,
        )
        cluster.wait_for(lambda state: state.ready, seconds=ground.seconds)
    return cluster


@contextlib.contextmanager
def running(
    repository: Repository,
    name: str,
    env: str = "local",
    *,
    nodes_of: str = "",
    with_flux: bool = True,
    context: str = "",
    ground: Ground = KWOK,
) -> Iterator[LocalCluster]:
    """A cluster for as long as the block runs; it also ends when this process does.

    Args:
        repository: the working tree.
        name: of the cluster.
        env: the environment that it follows.
        nodes_of: the environment whose nodes it has; ``env`` by default.
        with_flux: run Flux's controllers too.
        context: of KUBECONFIG, to use the control plane of an external cluster.
        ground: what its nodes are.
    """
    where = kubeconfig.extract_context(context) if context else ""
    cluster = _prepare(
        repository, name, env, nodes_of or env, with_flux=with_flux, where=where, ground=ground
    )
    with (
        external_cluster.reserve(cluster.api, cluster.folder)
        if context
        else contextlib.nullcontext()
    ):
        yield from _run_supervised(cluster, ground.seconds)


def _run_supervised(cluster: LocalCluster, seconds: float) -> Iterator[LocalCluster]:
    argv = [*_supervisor(cluster), "--until-eof"]
    with (cluster.folder / "supervisor.log").open("wb") as log:
        # Our end of its standard input closes when we end, however we end.
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    try:
        cluster.wait_for(lambda state: state.ready, seconds=seconds)
        yield cluster
    finally:
        process.terminate()
        process.communicate(timeout=_DOWN)
        down(cluster.repository, cluster.name)


def down(repository: Repository, name: str) -> bool:
    """Stop every process of a cluster and remove its folder, whatever state they are in.

    Returns:
        Whether there was anything.
    """
    folder = _folder(repository, name)
    if not folder.exists():
        return False
    supervisor.stop(folder, _DOWN)
    control_groups.remove(folder)
    shutil.rmtree(folder)
    return True


def _folder(repository: Repository, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a cluster", hint="letters, digits, -")
    return repository.build / "cluster" / name


def _prepare(
    repository: Repository,
    name: str,
    env: str,
    nodes_of: str,
    *,
    with_flux: bool = True,
    where: str = "",
    ground: Ground = KWOK,
) -> LocalCluster:
    """The folder of a cluster: keys, plan, objects, the bare repository.

    ``where`` is the kubeconfig of an external cluster.
    """
    programs = {program: tools.find(repository, program) for program in PROGRAMS}
    crds = catalog.find(repository) / catalog.CRDS
    down(repository, name)
    cluster = _reserve_ports(repository, name, env, ground.nodes)
    folder, ports = cluster.folder, cluster.ports
    for each in ("logs", "tmp", "git"):
        (folder / each).mkdir(parents=True)
    admin = pki.place(folder, where) if where else pki.write(folder / "pki", ports.server)
    bare_repository.create(folder / "git", repository)
    node_objects = [*real.objects(ground.nodes)] if ground.nodes else nodes.of(repository, nodes_of)
    config = {"crds": str(crds), "nodes": node_objects}
    files.write(folder / install.OBJECTS, json.dumps(config))
    control_plane_components = (
        []
        if where
        else control_plane.components(
            folder, ports, programs, admin, SANDBOX if ground.nodes else ""
        )
    )
    components = [
        *control_plane_components,
        _python("git-server", "git_server", folder / "git", "--port", ports.git).model_copy(
            update={"ready": f"{ports.git_server}/healthz"}
        ),
        _python("bootstrap", "install", folder).model_copy(
            update={"after": () if where else ("kube-apiserver",), "once": True}
        ),
    ]
    if ground.nodes:
        components += real.components(repository, folder, ports, admin, ground)
    else:
        components.append(control_plane.kwok(folder, ports, programs["kwok"], admin))
    if with_flux:
        components += flux.components(folder, ports, programs, admin)
    files.write(folder / supervisor.PLAN, Plan(components=tuple(components)).model_dump_json())
    return cluster


def _reserve_ports(repository: Repository, name: str, env: str, real: int) -> LocalCluster:
    """The record of a cluster, with ports that no other one of this checkout has either.

    Nobody listens on them until its components start; another cluster may be prepared meanwhile.
    """
    folder = _folder(repository, name)
    folder.mkdir(parents=True)
    lock = os.open(folder.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        taken: set[int] = set()
        for record in folder.parent.glob(f"*/{_RECORD}"):
            with contextlib.suppress(FileNotFoundError):  # it is being taken away
                if other := find(repository, record.parent.name):
                    taken.update(other.ports.numbers)
        ports = Ports.free(taken)
        files.write(
            folder / _RECORD, json.dumps({"env": env, "ports": asdict(ports), "real": real})
        )
    finally:
        os.close(lock)
    return LocalCluster(repository, name, env, ports, real)


def _python(name: str, module: str, *words: object) -> Component:
    argv = (sys.executable, "-m", f"harness.local_cluster.{module}", *map(str, words))
    return Component(name=name, argv=argv)


def _supervisor(cluster: LocalCluster) -> list[str]:
    command = [sys.executable, "-m", "harness.local_cluster.supervisor", str(cluster.folder)]
    return sandbox.argv(cluster.real, command) if cluster.real else command
