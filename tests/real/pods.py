"""The unchanged chart on real nodes: its model, its releases, load through the gateway."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from harness import tools
from harness.core import command
from harness.core.git import Changes
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, text
from harness.kubernetes import kinds, reconciliation
from harness.local_cluster.local import LocalCluster
from harness.local_cluster.real import control_groups, release
from harness.local_cluster.real.gateway import Entrance
from tests.e2e.timeline import LOAD
from tests.real import open_loop
from tests.real.open_loop import Answer, Load

NAME = "torchserve"
SERVERS = "app.kubernetes.io/component=server"
_READY = 240.0  # seconds for a release to be Ready; 25 on a quiet machine


@dataclass(frozen=True)
class Pods:
    """Servers in a cluster with real nodes.

    Attributes:
        repository: the working tree.
        cluster: where they run.
        digest: of the serving image.
        entrance: where requests enter.
    """

    repository: Repository
    cluster: LocalCluster
    digest: str
    entrance: Entrance

    def release(
        self,
        version: str = release.FIRST,
        values: Mapping[str, object] | None = None,
        handler: Path = release.HANDLER,
    ) -> Changes:
        """The files of a release with the model in this version and these values of the chart."""
        release.pack(self.cluster, version, handler)
        chart_values = {"replicas": 2, **(values or {})}
        return {**release.files(self.repository, self.cluster, self.digest, version, chart_values)}

    def sync(self, changes: Changes) -> None:
        """Commit, and wait until Flux has it Ready and no old pod is left."""
        commit = self.cluster.bare.commit(changes, "A change")
        self.cluster.sync(commit, seconds=_READY)
        self.settle()

    def settle(self) -> None:
        """Wait until exactly the wanted pods are there, all of them Ready."""

        def is_settled(pods: list[Value]) -> bool:
            deployment = self.cluster.api.get(kinds.DEPLOYMENT, NAME, NAME)
            return len(pods) == dig(deployment, "spec", "replicas") and all(map(is_ready, pods))

        self.cluster.api.wait_for(
            kinds.POD, is_settled, seconds=_READY, labels=SERVERS, what="the pods to settle"
        )

    def servers(self) -> list[Value]:
        """Their pods."""
        return self.cluster.api.list_all(kinds.POD, NAME, SERVERS)

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

    @contextmanager
    def load(self, rate: float, seconds: float) -> Iterator["Watch"]:
        """Send requests while the block runs, and for ``seconds`` at least."""
        where = self.entrance
        load = Load(
            where.address,
            where.port,
            f"/predictions/{release.MODEL}",
            rate,
            3_600,
            host=where.host,
            tls=where.port == 443,
        )
        argv = [*self.enter(), sys.executable, "-m", open_loop.__name__, json.dumps(asdict(load))]
        path = self.cluster.folder / "answers.jsonl"
        with path.open("w") as output:
            client = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=output)
            watch = Watch(time.time())
            try:
                yield watch
                _wait_until(watch.began + seconds)
            finally:
                client.communicate(timeout=60)
        watch.answers = [*open_loop.read(path.read_text())]


@dataclass
class Watch:
    """What was seen of a load.

    Attributes:
        began: when, in Unix time.
        marks: what was done, and from when to when.
        answers: every request's end, once the load has.
    """

    began: float
    marks: dict[str, tuple[float, float]] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Mark the time in which something is done."""
        began = time.time()
        yield
        self.marks[what] = (began, time.time())

    def quiet(self, seconds: float) -> None:
        """Let the load run undisturbed: what the disturbed answers are compared with."""
        _wait_until(time.time() + seconds)

    def counts(self) -> dict[str, int]:
        """Requests, failed, wrong, dropped."""
        outcomes = Counter(each.outcome for each in self.answers)
        return dict(
            zip(LOAD, (len(self.answers), *(outcomes[key] for key in LOAD[1:])), strict=True)
        )

    def why(self) -> dict[str, int]:
        """How often which failure."""
        return dict(Counter(each.detail for each in self.answers if each.outcome != "ok"))

    def p99(self, *, disturbed: bool) -> float:
        """Milliseconds since requests were due, of those due while something was done or not."""
        seconds = sorted(
            each.seconds
            for each in self.answers
            if each.outcome == "ok"
            and any(a <= each.due < b for a, b in self.marks.values()) == disturbed
        )
        return round(1000 * seconds[int(0.99 * len(seconds))], 1) if seconds else 0.0


def is_ready(pod: Value) -> bool:
    """Whether a pod takes requests, and is not on its way out."""
    if text(pod, "metadata", "deletionTimestamp"):
        return False
    return any(
        text(each, "type") == "Ready" and text(each, "status") == "True"
        for each in items(pod, "status", "conditions")
    )


def _wait_until(moment: float) -> None:
    if (wait := moment - time.time()) > 0:
        time.sleep(wait)
