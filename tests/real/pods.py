"""The unchanged chart on real nodes: its model, its releases, load through the gateway."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from harness import tools
from harness.core import command
from harness.core.git import Changes
from harness.core.repository import Repository
from harness.core.values import Value, dig, text
from harness.kubernetes import api, kinds, reconciliation
from harness.local_cluster.bare_repository import MAIN
from harness.local_cluster.local import LocalCluster
from harness.local_cluster.real import control_groups, gateway, release
from harness.local_cluster.real.gateway import Entrance
from harness.local_cluster.real.images import Images
from tests.real import closed_loop, open_loop, own_models
from tests.real.load import Load
from tests.real.watch import Lives, Watch, is_ready, wait_until

NAME = "torchserve"
MODEL = release.MODEL
SERVERS = "app.kubernetes.io/component=server"
_FIRST = f"{SERVERS},app.kubernetes.io/instance={NAME}"
_READY = 240.0  # seconds for a release to be Ready; 25 on a quiet machine
_BURST = 4.0  # seconds
_AT_ONCE = 32  # requests: two batches for each of two workers


@dataclass(frozen=True)
class Pods:
    """Servers in a cluster with real nodes.

    Attributes:
        repository: the working tree.
        cluster: where they run.
        images: what they may run.
        entrance: where requests enter.
        with_models: whether they serve the repository's models too, next to the cheap one.
    """

    repository: Repository
    cluster: LocalCluster
    images: Images
    entrance: Entrance
    with_models: bool = False

    def release(
        self,
        version: str = release.FIRST,
        values: Mapping[str, object] | None = None,
        handler: Path = release.HANDLER,
    ) -> Changes:
        """The files of a release with the model in this version and these values of the chart."""
        release.pack(self.cluster, version, handler)
        chart_values = {"replicas": 2, **(values or {})}
        others = own_models.pack(self.repository, self.cluster, version) if self.with_models else ()
        return {
            **release.files(
                self.repository, self.cluster, self.images.digest, version, chart_values, others
            )
        }

    def sync(self, changes: Changes) -> None:
        """Commit, and wait until Flux has it Ready and no old pod is left."""
        self.follow(self.cluster.bare.commit(changes, "A change"))

    def revert(self) -> None:
        """Undo the last commit by another one, and wait likewise."""
        self.follow(self.undo())

    def undo(self) -> str:
        """Undo the last commit by another one; return that."""
        bare = self.cluster.bare
        return bare.restore(bare.git.run("rev-parse", f"{MAIN}^"))

    def follow(self, commit: str) -> None:
        """Wait until Flux has a commit Ready and no other pod is left."""
        self.cluster.sync(commit, seconds=_READY)
        self.settle()

    def settle(self) -> None:
        """Wait until exactly the wanted pods are there, all of them Ready."""

        def is_settled(pods: list[Value]) -> bool:
            deployment = self.cluster.api.get(kinds.DEPLOYMENT, NAME, NAME)
            return len(pods) == dig(deployment, "spec", "replicas") and all(map(is_ready, pods))

        self.cluster.api.wait_for(
            kinds.POD, is_settled, seconds=_READY, labels=_FIRST, what="the pods to settle"
        )

    def servers(self) -> list[Value]:
        """Their pods."""
        return self.cluster.api.list_all(kinds.POD, NAME, _FIRST)

    def kill(self, victim: str) -> None:
        """``kill -9`` the first process of these pods whose command line has this text."""
        self.signal(victim, signal.SIGKILL)

    def signal(self, victim: str, number: int) -> str:
        """Send a signal to such a process; the pod that it is of."""
        name = self.try_signal(victim, number)
        assert name, f"no process of a pod runs {victim}"
        return name

    def try_signal(self, victim: str, number: int) -> str:
        """The same, where there may be none at the moment."""
        group = control_groups.name_of(self.cluster.folder, "")
        uids = {text(each, "metadata", "uid"): each for each in self.servers()}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                where = Path(f"/proc/{process.pid}/cgroup").read_text()
                pod = next((uids[uid] for uid in uids if group in where and uid in where), None)
                if pod and victim in " ".join(process.cmdline()):
                    process.send_signal(number)
                    return text(pod, "metadata", "name")
        return ""

    def kill_component(self, program: str, node: str) -> None:
        """``kill -9`` a program of a node, such as its kubelet."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                ours = str(self.cluster.folder) in " ".join(words)
                if ours and f"--hostname-override={node}" in words and words[0].endswith(program):
                    process.kill()

    def request(self) -> None:
        """Have Flux fetch now."""
        reconciliation.request(self.cluster.api)

    def enter(self) -> list[str]:
        """The words that run a command in the network of the sandbox."""
        return ["nsenter", f"--net=/proc/{self.cluster.state.supervisor.pid}/ns/net"]

    def kubectl(self, *words: str) -> str:
        """What kubectl says."""
        program = tools.find(self.repository, "kubectl")
        argv = [str(program), f"--kubeconfig={self.cluster.kubeconfig}", *words]
        return command.run(argv, timeout=_READY).stdout

    def capacity(self, **more: object) -> float:
        """Correct answers a second of one pod: of a burst to all of them, its share.

        What sends the burst takes its part of the machine, so that it is no less. ``more`` is what
        else a Load says.
        """
        load = self._load(rate=0, seconds=_BURST, most=_AT_ONCE, **more)
        argv = [*self.enter(), sys.executable, "-m", closed_loop.__name__, json.dumps(asdict(load))]
        answered = command.run(argv, timeout=load.patience + 60).stdout
        return round(float(answered) / len(self.servers()), 1)

    def _load(self, **more: object) -> Load:
        """What is sent to the entrance."""
        where = self.entrance
        host = gateway.GRPC_HOST if more.get("client") == "grpc" else where.host
        tls = where.port == 443
        return Load(where.address, where.port, host=host, tls=tls, **more)  # type: ignore[arg-type]

    @contextmanager
    def load(
        self,
        rate: float,
        seconds: float,
        model: str = MODEL,
        others: Mapping[str, float] | None = None,
        **more: object,
    ) -> Iterator[Watch]:
        """Send requests while the block runs, and for ``seconds`` at least.

        ``others`` are the rates of the repository's models that get their samples meanwhile.
        ``more`` is what else a Load says: the client, the size of a body, …
        """
        load = self._load(rate=rate, seconds=3_600, model=model, **more)
        loads = [load]
        if others:
            known = str(own_models.write_known(self.repository, self.cluster))
            loads += [replace(load, rate=others[each], model=each, known=known) for each in others]
        each_as_json = [json.dumps(asdict(each)) for each in loads]
        argv = [*self.enter(), sys.executable, "-m", open_loop.__name__, *each_as_json]
        path = self.cluster.folder / f"answers-{model}.jsonl"
        lives = Lives(self._watched_pods())
        with path.open("w") as output:
            client = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=output)
            watch = Watch(time.time(), load.client)
            lives.start()
            try:
                yield watch
                wait_until(watch.began + seconds)
            finally:
                client.communicate(timeout=load.patience + 30)
                watch.lives = lives.stop()
        assert client.returncode == 0, "the client ended with an error"
        watch.answers = [*open_loop.read(path.read_text())]

    def _watched_pods(self) -> Callable[[], list[Value]]:
        """Looks at servers and proxies, by a connection of its own."""
        cluster = api.connect(self.cluster.kubeconfig)
        return lambda: [
            *cluster.list_all(kinds.POD, NAME, SERVERS),
            *cluster.list_all(kinds.POD, gateway.NAMESPACE, gateway.PROXIES),
        ]
