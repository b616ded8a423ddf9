"""A group's pods follow its load: real Prometheus, KEDA, HPA controller, TorchServe, and the chart.

Pods are kwok's, with real servers behind their addresses (tests/support/served_pods.py). Their
model waits 0.8 s, in four workers: a pod answers 5 requests a second whatever the machine is.
Changed of what ships: going down waits for 60 s instead of 300, and then 30 instead of 120.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, mapping, text
from harness.local_cluster import local
from tests.e2e.scenario import NAME, Scenario
from tests.e2e.timeline import Timeline
from tests.launcher.conftest import pack
from tests.support import keda, monitoring, prometheus, served_pods
from tests.support.processes import eventually, free_ports
from tests.support.served_pods import Pods

pytestmark = [pytest.mark.load, pytest.mark.timeout(3600)]

MOST = 3  # pods, and GPUs of the nodes
# Fewer pods would have done for a minute; then one goes every half a minute.
_ONE_BY_ONE = [{"type": "Pods", "value": 1, "periodSeconds": 30}]
_BEHAVIOR = {"scaleDown": {"stabilizationWindowSeconds": 60, "policies": _ONE_BY_ONE}}
_PROGRAMS = ("keda-operator", "keda-adapter", "prometheus", "prometheus-operator")
_REACTION = 300.0  # seconds that a change of the number may take, on a busy machine
# Requests per second. A pod has room for 4 × 0.6 in flight: 3 requests a second.
QUIET, TWO_PODS, THREE_PODS, TOO_MANY = 0.8, 3.4, 7.5, 15.0


@dataclass
class Number:
    """The number of pods that the Deployment was given, and when that was noticed."""

    scenario: Scenario
    changes: list[tuple[float, int]] = field(default_factory=list)

    @property
    def now(self) -> int:
        return int(str(dig(self.scenario.deployment(), "spec", "replicas") or 0))

    def watch(self, until: threading.Event) -> None:
        while not until.wait(0.5):
            number = self.now
            if not self.changes or self.changes[-1][1] != number:
                self.changes.append((time.monotonic(), number))

    def becomes(self, number: int) -> float:
        """Wait for it, and return the seconds that it took."""
        began = time.monotonic()
        eventually(lambda: self.now == number, _REACTION)
        return round(time.monotonic() - began, 1)

    def stays(self, seconds: float) -> None:
        """Watch it for a while, in which it may not change."""
        before, until = self.now, time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.now == before, f"{before} → {self.now} after a steady load: {self.changes}"
            threading.Event().wait(1)


@dataclass
class Setting:
    """What a test of it needs at hand."""

    scenario: Scenario
    pods: Pods
    number: Number
    timeline: Timeline
    prometheus_folder: Path
    port: int
    output: monitoring.Output
    checkout: Repository

    @contextmanager
    def prometheus(self, configuration: Value | None = None) -> Iterator[prometheus.Prometheus]:
        """Prometheus for a while, with what it knew before."""
        shipped = configuration or self.output.here(at_once=False)
        with prometheus.running(
            self.checkout, self.prometheus_folder, shipped, {}, self.port
        ) as server:
            yield server

    def silent(self) -> Value:
        """What ships, with a port of the servers at which nobody answers."""
        jobs = [
            {
                **mapping(job),
                "relabel_configs": [
                    *items(job, "relabel_configs"),
                    {
                        "source_labels": ["__address__"],
                        "regex": "([^:]+):.*",
                        "target_label": "__address__",
                        "replacement": "$1:1",
                    },
                ],
            }
            for job in items(self.output.here(at_once=False), "scrape_configs")
        ]
        return {**self.output.here(at_once=False), "scrape_configs": jobs}

    def falls_back(self) -> bool:
        """Whether KEDA says that it has no figures."""
        scaled = self.scenario.one(keda.SCALED_OBJECT, NAME, NAME)
        return any(
            text(each, "type") == "Fallback" and text(each, "status") == "True"
            for each in items(scaled, "status", "conditions")
        )

    def fits(self) -> None:
        """No more pods than GPUs, all of them on nodes."""
        assert max(number for _, number in self.number.changes) <= MOST, self.number.changes
        pods = self.scenario.pods()
        assert all(dig(pod, "spec", "nodeName") for pod in pods), "a pod has no GPU"


def _skip_unless_built(checkout: Repository, *names: str) -> None:
    missing = [each for each in names if not tools.at_hand(checkout, each)]
    if missing:
        pytest.skip(f"not built: `harness tools {' '.join(missing)}`")


@pytest.fixture
def setting(checkout: Repository, tmp_path: Path, timeline: Timeline) -> Iterator[Setting]:
    _skip_unless_built(checkout, *_PROGRAMS)
    pack("waiting", "waiting_handler.py", tmp_path)
    (port,) = free_ports(1)
    folders = {name: tmp_path / name for name in ("operator", "prometheus", "keda")}
    for folder in folders.values():
        folder.mkdir()
    until = threading.Event()
    with ExitStack() as stack:
        cluster = stack.enter_context(local.running(checkout, "keda", nodes_of="production"))
        served_pods.addresses(cluster.api)
        scenario = Scenario(cluster, timeline)
        stack.enter_context(keda.running(checkout, cluster, folders["keda"]))
        scenario.begin()
        output = stack.enter_context(monitoring.operated(checkout, cluster, folders["operator"]))
        pods = stack.enter_context(served_pods.running(cluster.api, NAME, tmp_path / "waiting.mar"))
        number = Number(scenario)
        watcher = threading.Thread(target=number.watch, args=(until,))
        stack.callback(watcher.join, 30)
        stack.callback(until.set)
        watcher.start()
        yield Setting(
            scenario, pods, number, timeline, folders["prometheus"], port, output, checkout
        )


def test_the_pods_follow_the_load(setting: Setting) -> None:
    scenario, pods, number, figures = (
        setting.scenario, setting.pods, setting.number, setting.timeline.figures
    )  # fmt: skip
    pods.load.rate = QUIET
    with setting.prometheus() as server:
        scenario.commit(_with_autoscaler(scenario, setting.port))
        scenario.wait_for(
            keda.SCALED_OBJECT, NAME, lambda each: dig(each, "status", "hpaName") == NAME, 120
        )
        figures["replicas in Git → 1 pod, s"] = number.becomes(1)
        eventually(lambda: len(pods.load.ready) == 1)
        eventually(lambda: server.query("count(launcher_workers_ready) == 1"))
        number.stays(20)

        # A pod that loads is waited for, however long that takes.
        with pods.loading():
            pods.load.rate = TWO_PODS
            figures["more load → 2 pods wanted, s"] = number.becomes(2)
            number.stays(40)
        with scenario.timeline.step("model loads → pod Ready"):
            eventually(lambda: len(pods.load.ready) == 2)
        number.stays(20)

        pods.load.rate = THREE_PODS
        figures["more load → 3 pods wanted, s"] = number.becomes(3)
        with scenario.timeline.step("wanted → Ready"):
            eventually(lambda: len(pods.load.ready) == 3)
        pods.load.rate = TOO_MANY
        number.stays(30)
        setting.fits()
        pods.load.rate = THREE_PODS
        number.stays(60)

    began = time.monotonic()
    eventually(setting.falls_back)
    figures["Prometheus is down → KEDA falls back, s"] = round(time.monotonic() - began, 1)
    number.stays(40)
    with setting.prometheus(setting.silent()):
        number.stays(60)
        assert setting.falls_back(), "servers that give no figures are not servers without load"

    with setting.prometheus():
        eventually(lambda: not setting.falls_back())
        number.stays(10)
        pods.load.rate = QUIET
        figures["less load → 2 pods, s"] = number.becomes(2)
        figures["then → 1 pod, s"] = number.becomes(1)
        number.stays(10)
    setting.fits()
    figures["requests"] = pods.load.sent.total()
    figures["without a right answer"] = dict(pods.load.reasons)
    figures["numbers"] = [number for _, number in number.changes]


def _with_autoscaler(scenario: Scenario, port: int) -> dict[str, str | None]:
    """The group on GPUs, its number of pods by KEDA, its pods Ready when their servers are."""
    scaling = {
        "kind": "keda",
        "minReplicas": 1,
        "maxReplicas": MOST,
        "behavior": _BEHAVIOR,
        "keda": {"serverAddress": f"http://127.0.0.1:{port}"},
    }
    release: Value = {"timeout": "10m", "values": {"gpus": 1, "autoscaling": scaling}}
    return scenario.release({**release, **scenario.pods_that("stuck")})


def test_git_has_the_number_again_when_the_autoscaler_goes(
    checkout: Repository, tmp_path: Path, timeline: Timeline
) -> None:
    """Without Prometheus: KEDA holds its minimum, which is enough to own the number."""
    _skip_unless_built(checkout, "keda-operator", "keda-adapter")
    with local.running(checkout, "keda-back", nodes_of="production") as cluster:
        scenario, number = Scenario(cluster, timeline), Number(Scenario(cluster, timeline))
        with keda.running(checkout, cluster, tmp_path):
            scenario.begin()
            limits = {"kind": "keda", "minReplicas": 3, "maxReplicas": 3}
            scenario.commit(scenario.release({"values": {"autoscaling": limits}}))
            number.becomes(3)
            values: Value = {"replicas": 2, "autoscaling": {"kind": "none"}}
            with timeline.step("the autoscaler's → replicas in Git"):
                scenario.commit(scenario.release({"values": values}))
                eventually(lambda: cluster.api.get(keda.SCALED_OBJECT, NAME, NAME) is None)
                number.becomes(2)
            number.stays(60)
