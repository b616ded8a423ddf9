"""What is seen of a real pod with a fault: its probes, as its kubelet has them, and its place.

    python -m tests.real.probes '{"http://10.244.0.7:8090/ready": null}'

Asks each URL, with the text as the body of a POST where there is one; prints status and answer of
each as JSON, 0 where there is no answer.
"""

import contextlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.core import command
from harness.core.values import Value, dig, items, text
from harness.kubernetes import kinds
from harness.kubernetes.api import Kind
from harness.local_cluster.local import LocalCluster
from harness.local_cluster.real import release
from tests.e2e.timeline import Timeline
from tests.real.pods import NAME, Pods
from tests.support.processes import eventually

ENDPOINTS = Kind("discovery.k8s.io/v1", "EndpointSlice")
_PATIENCE = 40.0  # seconds for an answer of a model: longer than its responseTimeout
_PROBES = ("startup", "ready", "live")


@dataclass(frozen=True)
class Sight:
    """What is seen of a pod at one moment.

    Attributes:
        startup: status of the answer to the startup probe; 0 without one.
        ready: of the readiness probe.
        live: of the liveness probe.
        serves: whether the Service sends requests to it.
        restarts: of its container.
    """

    startup: int
    ready: int
    live: int
    serves: bool
    restarts: int

    def __str__(self) -> str:
        codes = "/".join(str(each or "–") for each in (self.startup, self.ready, self.live))
        place = "in" if self.serves else "out of"
        return f"{codes}, {place} the Service, {self.restarts} restarts"


GOOD = Sight(200, 200, 200, True, 0)


@dataclass(frozen=True)
class Probes:
    """Looks at pods of a cluster.

    Attributes:
        pods: the cluster's.
        timeline: where each sight is noted.
    """

    pods: Pods
    timeline: Timeline

    def pod(self, name: str) -> Value:
        """As the API server has it; empty once it is gone."""
        return self.pods.cluster.api.get(kinds.POD, name, NAME) or {}

    def look(self, name: str) -> Sight:
        """See a pod now."""
        startup, ready, live = (code for code, _ in self.answers(name).values())
        status = items(self.pod(name), "status", "containerStatuses")
        restarts = int(str(dig(status[0], "restartCount"))) if status else 0
        return Sight(startup, ready, live, self.serves(name), restarts)

    def note(self, name: str, when: str) -> Sight:
        """See a pod, and write it down."""
        sight = self.look(name)
        self.timeline.figures[when] = str(sight)
        return sight

    def wait_for(self, name: str, when: str, seconds: float, **look: object) -> Sight:
        """Wait until a pod looks so; note what is seen then, and after how many seconds."""

        def is_so() -> Sight | None:
            sight = self.look(name)
            return sight if all(getattr(sight, key) == look[key] for key in look) else None

        with self.timeline.step(when):
            sight = eventually(is_so, seconds)
        assert sight is not None
        self.timeline.figures[when] = str(sight)
        return sight

    def answers(self, name: str) -> dict[str, tuple[int, str]]:
        """Status and text of each probe."""
        address = text(self.pod(name), "status", "podIP")
        urls = {probe: f"http://{address}:8090/{probe}" for probe in _PROBES}
        answers = self._ask(name, dict.fromkeys(urls.values()))
        return {probe: answers[url] for probe, url in urls.items()}

    def predict(self, name: str, body: str) -> tuple[int, str]:
        """Status and text of one pod's answer to a request."""
        address = text(self.pod(name), "status", "podIP")
        url = f"http://{address}:8080/predictions/{release.MODEL}"
        return self._ask(name, {url: body})[url]

    def kill(self, name: str) -> None:
        """End all processes of a pod's container at once."""
        status = items(self.pod(name), "status", "containerStatuses")[0]
        container = text(status, "containerID").partition("://")[2]
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if container in Path(f"/proc/{process.pid}/cgroup").read_text():
                    process.kill()

    def serves(self, name: str) -> bool:
        """Whether the Service has the pod, ready."""
        return any(
            text(endpoint, "targetRef", "name") == name and dig(endpoint, "conditions", "ready")
            for piece in self.pods.cluster.api.list_all(ENDPOINTS, NAME)
            for endpoint in items(piece, "endpoints")
        )

    def _ask(self, name: str, bodies: Mapping[str, str | None]) -> dict[str, tuple[int, str]]:
        node = text(self.pod(name), "spec", "nodeName")
        argv = [*inside(self.pods.cluster, node), sys.executable, "-m", __name__]
        output = command.run([*argv, json.dumps(bodies)], timeout=2 * _PATIENCE).stdout
        return {url: (int(code), str(answer)) for url, (code, answer) in json.loads(output).items()}


def inside(cluster: LocalCluster, node: str, *, mounts: bool = False) -> list[str]:
    """The words that run a command in the network of a node, or among its mounts."""
    outer = psutil.Process(cluster.state.components[node].pid)
    (first,) = outer.children()
    return ["nsenter", f"--target={first.pid}", "--mount" if mounts else "--net"]


def _answer(url: str, body: str | None) -> tuple[int, str]:
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, body.encode() if body else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE if body else 3) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def _main() -> None:
    bodies: dict[str, str | None] = json.loads(sys.argv[1])
    with ThreadPoolExecutor() as pool:
        answers = pool.map(_answer, bodies, bodies.values())
        sys.stdout.write(json.dumps(dict(zip(bodies, answers, strict=True))))


if __name__ == "__main__":
    _main()
