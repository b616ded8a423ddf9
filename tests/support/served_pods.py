"""Real servers behind pods that kwok plays: the kubelet's part, for the pods of one group.

    with served_pods.running(cluster.api, group, archive) as pods:
        pods.load.rate = 20

Each pod on a node of `addresses` has an address of its own on loopback. There its launcher listens,
at the port that the chart gives it, with a TorchServe of its own; Prometheus finds it as any pod.
A pod that kwok leaves alone (``harness.local/pod: stuck``) is Ready when its launcher says so. What
a container would add is not shown.
"""

import contextlib
import itertools
import signal
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.values import Value, dig, items, text
from harness.kubernetes import kinds, reconciliation
from harness.kubernetes.api import Api
from tests.launcher.conftest import Launcher, Site

NAMESPACE = "torchserve"
PORT = 8090  # launcherPort of the chart
MODEL = "waiting"
_LOOK = 0.5  # seconds between two looks at the pods, as a readiness probe's period
_WORKERS = 4  # of a pod; each answers one request at a time
_AT_ONCE = 128  # requests in flight
ASKED, RIGHT = b"ask", b"ksa"
"""A request to the model, and its correct answer."""


def predict(url: str, body: bytes) -> tuple[int, bytes]:
    """Status and answer of a prediction."""
    headers = {"Content-Type": "application/octet-stream"}  # else TorchServe reads a form
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as got:
            return got.status, got.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def addresses(api: Api) -> None:
    """Give each node a range of loopback for its pods, before the first pod is there."""
    for number, node in enumerate(api.list_all(kinds.NODE)):
        cidr = f"127.1.{number}.0/24"
        ranges: Value = {"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}
        api.patch(kinds.NODE, text(node, "metadata", "name"), ranges)


@dataclass
class Load:
    """Requests at a rate, sent when they are due, each to a pod that is Ready.

    Attributes:
        choose: the name of the pod that gets a request, of those that are Ready.
        rate: requests per second; it may be changed at any time.
        sent: how many each pod got.
        failed: how many of them did not end with the correct answer, by the pod.
        reasons: why, how often.
    """

    choose: Callable[[Sequence[str]], str]
    rate: float = 0.0
    sent: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    ready: Mapping[str, str] = field(default_factory=dict)

    def run(self, until: threading.Event) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            due = time.monotonic()
            while not until.wait(max(0.0, due - time.monotonic())):
                if ready := self.ready:
                    name = self.choose(sorted(ready))
                    self.sent[name] += 1
                    pool.submit(self._ask, name, ready[name])
                due = max(due, time.monotonic() - 1) + 1 / max(self.rate, 0.1)

    def _ask(self, name: str, url: str) -> None:
        try:
            status, answer = predict(url, ASKED)
            wrong = "" if (status, answer) == (200, RIGHT) else f"{status} {answer[:40]!r}"
        except OSError as error:
            wrong = type(error).__name__
        if wrong:
            self.failed[name] += 1
            self.reasons[wrong] += 1


class Pods:
    """The group's pods, and the servers that were started for them."""

    def __init__(self, api: Api, group: str, archive: Path, folder: Path) -> None:
        turn = itertools.count()
        self.load = Load(lambda ready: ready[next(turn) % len(ready)])
        self.holds_loads = False
        self._api, self._archive, self._folder = api, archive, folder
        self._labels = f"torchserve/group={group},harness.local/pod=stuck"
        self._servers: dict[str, Launcher] = {}
        self._ended: list[Launcher] = []

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Models of servers that start in the block stay loading until it ends."""
        self.holds_loads = True
        try:
            yield
        finally:
            self.holds_loads = False
            for server in self._servers.values():
                (server.site.gate / "hold-load").unlink(missing_ok=True)

    def run(self, until: threading.Event) -> None:
        while not until.wait(_LOOK):
            with contextlib.suppress(HarnessError):  # an API server that is busy is asked again
                self._advance()

    def _advance(self) -> None:
        pods = {
            text(pod, "metadata", "name"): pod
            for pod in self._api.list_all(kinds.POD, NAMESPACE, self._labels)
            if text(pod, "status", "podIP") and not dig(pod, "metadata", "deletionTimestamp")
        }
        for name in [each for each in self._servers if each not in pods]:
            server = self._servers.pop(name)
            server.process.send_signal(signal.SIGTERM)  # it drains, and ends
            self._ended.append(server)
        ready = {}
        for name, pod in pods.items():
            server = self._servers.get(name) or self._start(name, pod)
            is_ready = server.ask("/ready")[0] == 200
            if is_ready != (text(reconciliation.condition(pod, "Ready"), "status") == "True"):
                self._api.patch(
                    kinds.POD, name, {"status": _status(pod, is_ready)}, NAMESPACE, part="status"
                )
            if is_ready:
                ready[name] = f"http://127.0.0.1:{server.site.http}/predictions/{MODEL}"
        self.load.ready = ready

    def _start(self, name: str, pod: Value) -> Launcher:
        site = Site(self._folder / name, self._archive, workers=_WORKERS, batch=1, models=(MODEL,))
        if self.holds_loads:
            site.hold("hold-load")
        container = items(pod, "spec", "containers")[0]
        env = {text(each, "name"): text(each, "value") for each in items(container, "env")}
        server = ServedPod(site, text(pod, "status", "podIP"), env)
        self._servers[name] = server
        return server

    def end(self) -> None:
        for server in (*self._servers.values(), *self._ended):
            server.process.send_signal(signal.SIGTERM)
        for server in (*self._servers.values(), *self._ended):
            server.process.wait(60)


class ServedPod(Launcher):
    """A launcher at a pod's address."""

    def __init__(self, site: Site, address: str, env: dict[str, str]) -> None:
        options = ("--host", address, "--port", str(PORT), "--drain-seconds", "10")
        super().__init__(site, *options, env=env)
        self.host, self.port = address, PORT


def _status(pod: Value, ready: bool) -> Value:
    """What a kubelet would say of the pod's readiness now."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    conditions = [
        {**condition, "status": str(ready), "lastTransitionTime": now}
        if condition["type"] in ("Ready", "ContainersReady")
        else condition
        for condition in items(pod, "status", "conditions")
        if isinstance(condition, dict)
    ]
    containers = [
        {**each, "ready": ready, "started": True}
        for each in items(pod, "status", "containerStatuses")
        if isinstance(each, dict)
    ]
    return {"conditions": conditions, "containerStatuses": containers}


@contextlib.contextmanager
def running(api: Api, group: str, archive: Path) -> Iterator[Pods]:
    """Serve a group's pods, and send them requests, while the block runs."""
    until = threading.Event()
    # Below a short path: TorchServe's sockets lie there.
    with tempfile.TemporaryDirectory(prefix="pods-") as folder:
        pods = Pods(api, group, archive, Path(folder))
        threads = [threading.Thread(target=each.run, args=(until,)) for each in (pods, pods.load)]
        for thread in threads:
            thread.start()
        try:
            yield pods
        finally:
            until.set()
            for thread in threads:
                thread.join(60)
            pods.end()
