"""A group's pods follow its load: real Prometheus, KEDA, HPA controller, TorchServe, and the chart.

Pods are kwok's, with real servers behind their addresses (tests/support/served_pods.py). Their
model waits 3 s, in four workers: a pod answers 4 requests in 3 s whatever the machine is.
Changed of what ships: going down waits for 30 s instead of 300, and then 30 instead of 120.
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
from harness.core.values import Value, dig, items, mapping, merge, text
from harness.local_cluster import local
from tests.e2e.scenario import NAME, Scenario
from tests.e2e.timeline import Timeline
from tests.launcher.conftest import pack
from tests.support import keda, monitoring, prometheus, served_pods
from tests.support.processes import eventually, free_ports
from tests.support.served_pods import Pods

pytestmark = [pytest.mark.load, pytest.mark.timeout(3600)]

MOST = 3  # pods, and GPUs of the nodes
# Fewer pods would have done for half a minute; then one goes every half a minute.
_ONE_BY_ONE = [{"type": "Pods", "value": 1, "periodSeconds": 30}]
_BEHAVIOR = {"scaleDown": {"stabilizationWindowSeconds": 30, "policies": _ONE_BY_ONE}}
_PROGRAMS = ("keda-operator", "keda-adapter", "prometheus", "prometheus-operator")
_REACTION = 300.0  # seconds that a change of the number may take, on a busy machine
# Requests per second. A pod has room for 4 × 0.6 in flight: 0.8 requests a second.
QUIET, TWO_PODS, THREE_PODS, TOO_MANY = 0.2, 0.95, 2.0, 5.0


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


@pytest.fixture(scope="module")
def setting(checkout: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    _skip_unless_built(checkout, *_PROGRAMS)
    folder = tmp_path_factory.mktemp("keda")
    pack("waiting", "waiting_handler.py", folder)
    (port,) = free_ports(1)
    folders = {name: folder / name for name in ("operator", "prometheus", "keda")}
    for each in folders.values():
        each.mkdir()
    until = threading.Event()
    with ExitStack() as stack:
        cluster = stack.enter_context(local.running(checkout, "keda", nodes_of="production"))
        served_pods.addresses(cluster.api)
        scenario = Scenario(cluster, Timeline())
        stack.enter_context(keda.running(checkout, cluster, folders["keda"]))
        scenario.begin()
        output = stack.enter_context(monitoring.operated(checkout, cluster, folders["operator"]))
        pods = stack.enter_context(served_pods.running(cluster.api, NAME, folder / "waiting.mar"))
        number = Number(scenario)
        watcher = threading.Thread(target=number.watch, args=(until,))
        stack.callback(watcher.join, 30)
        stack.callback(until.set)
        watcher.start()
        yield Setting(scenario, pods, number, folders["prometheus"], port, output, checkout)


def test_more_load_takes_a_pod_and_one_that_loads_is_waited_for(
    setting: Setting, timeline: Timeline
) -> None:
    scenario, pods, number = setting.scenario, setting.pods, setting.number
    pods.load.rate = QUIET
    with setting.prometheus() as server:
        scenario.commit(_with_autoscaler(scenario, setting.port))
        scenario.wait_for(
            keda.SCALED_OBJECT, NAME, lambda each: dig(each, "status", "hpaName") == NAME, 120
        )
        number.becomes(1)
        eventually(lambda: len(pods.load.ready) == 1)
        eventually(lambda: server.query("count(launcher_workers_ready) == 1"))
        number.stays(10)
        with pods.loading():
            pods.load.rate = TWO_PODS
            timeline.figures["more load → 2 pods wanted, s"] = number.becomes(2)
            number.stays(45)
        with timeline.step("model loads → pod Ready"):
            eventually(lambda: len(pods.load.ready) == 2)
        number.stays(20)
        pods.load.rate = THREE_PODS
        timeline.figures["more load → 3 pods wanted, s"] = number.becomes(3)
        with timeline.step("wanted → Ready"):
            eventually(lambda: len(pods.load.ready) == 3)
    assert [count for _, count in number.changes][-2:] == [2, 3], number.changes


def test_as_many_as_gpus_and_no_more(setting: Setting, timeline: Timeline) -> None:
    with setting.prometheus():
        setting.pods.load.rate = TOO_MANY
        setting.number.stays(20)
        setting.fits()
        setting.pods.load.rate = THREE_PODS
        setting.number.stays(30)
    assert setting.number.now == MOST


def test_nothing_known_nothing_done(setting: Setting, timeline: Timeline) -> None:
    with timeline.step("Prometheus is down → KEDA falls back"):
        eventually(setting.falls_back)
    setting.number.stays(20)
    with setting.prometheus(setting.silent()):
        setting.number.stays(40)
        assert setting.falls_back(), "servers that give no figures are not servers without load"


def test_less_load_takes_pods_away_one_by_one(setting: Setting, timeline: Timeline) -> None:
    pods, number, figures = setting.pods, setting.number, timeline.figures
    with setting.prometheus():
        eventually(lambda: not setting.falls_back())
        pods.load.rate = QUIET
        figures["less load → 2 pods, s"] = number.becomes(2)
        figures["then → 1 pod, s"] = number.becomes(1)
    setting.fits()
    assert [count for _, count in number.changes][-2:] == [2, 1], number.changes
    figures["requests"] = pods.load.sent.total()
    figures["without a correct answer"] = dict(pods.load.reasons)
    figures["numbers"] = [count for _, count in number.changes]


def _with_autoscaler(scenario: Scenario, port: int) -> dict[str, str | None]:
    """The group on GPUs, its number of pods by KEDA, its pods Ready when their servers are."""
    scaling = {
        "kind": "keda",
        "minReplicas": 1,
        "maxReplicas": MOST,
        "behavior": _BEHAVIOR,
        "keda": {"serverAddress": f"http://127.0.0.1:{port}"},
    }
    env = [{"name": "SECONDS", "value": "3"}]
    values = {"gpus": 1, "autoscaling": scaling, "env": env}
    release: Value = {"timeout": "10m", "values": values}
    return scenario.release(merge(release, scenario.pods_that("stuck")))


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
            assert number.now == 2
