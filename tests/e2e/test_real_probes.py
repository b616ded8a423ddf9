"""Faults in real pods: what each probe says, and what Kubernetes then does."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.values import Value, dig, items, text
from harness.kubernetes import kinds
from harness.local_cluster.real import release
from tests.e2e.timeline import Timeline
from tests.real.pods import NAME, SERVERS, Pods
from tests.real.watch import is_ready
from tests.support.processes import eventually

pytestmark = [pytest.mark.load, pytest.mark.timeout(900)]

GOOD = {"startup": 200, "ready": 200, "live": 200}
_MINUTES = (
    300.0  # seconds for the kubelet to act: a hung JVM has its whole grace period (175 s) first
)

_ASK = """
import json, urllib.error, urllib.request
def ask(name):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:8090/{name}", timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
print(json.dumps({name: ask(name) for name in ("startup", "ready", "live")}))
"""
_FILL = "dd if=/dev/zero of=/run/torchserve/full bs=1M count=1200"


@pytest.fixture(autouse=True)
def _begin_well(pods: Pods) -> None:
    pods.sync(pods.release())


def _probes(pods: Pods, pod: str) -> dict[str, int]:
    answer = pods.kubectl("exec", f"--namespace={NAME}", pod, "--", "python", "-c", _ASK)
    codes: dict[str, int] = json.loads(answer)
    return codes


def _name(pod: Value) -> str:
    return text(pod, "metadata", "name")


def _pod(pods: Pods, name: str) -> Value:
    return pods.cluster.api.get(kinds.POD, name, NAME) or {}


def _restarts(pod: Value) -> object:
    return dig(pod, "status", "containerStatuses", 0, "restartCount")


def _waits_for(pod: Value) -> str:
    statuses = items(pod, "status", "containerStatuses")
    return text(statuses[0], "state", "waiting", "reason") if statuses else ""


def _wait_for_pods(pods: Pods, condition: Callable[[list[Value]], bool], what: str) -> None:
    pods.cluster.api.wait_for(kinds.POD, condition, seconds=_MINUTES, labels=SERVERS, what=what)


def test_jvm_that_hangs_leaves_the_service_and_is_restarted(pods: Pods, timeline: Timeline) -> None:
    name = pods.signal("org.pytorch.serve.ModelServer", signal.SIGSTOP)
    with timeline.step("hung → not Ready"):
        eventually(lambda: not is_ready(_pod(pods, name)), 30)
    codes = _probes(pods, name)
    assert (codes["startup"], codes["ready"]) == (200, 503)
    with timeline.step("not Ready → restarted"):
        eventually(lambda: _restarts(_pod(pods, name)) == 1, _MINUTES)
    with timeline.step("restarted → Ready"):
        eventually(lambda: is_ready(_pod(pods, name)), _MINUTES)


def test_worker_killed_again_and_again_stays_in_the_service(pods: Pods, timeline: Timeline) -> None:
    for _ in range(5):
        name = eventually(lambda: pods.try_signal("model_service_worker", signal.SIGKILL), 60)
        assert _probes(pods, name) == GOOD
        assert is_ready(_pod(pods, name))
    timeline.figures["kills"] = 5
    assert {_restarts(each) for each in pods.servers()} == {0}


@pytest.mark.parametrize("fault", ["an archive cut short", "a handler that cannot be imported"])
def test_release_that_cannot_start_never_replaces_a_pod(
    pods: Pods, timeline: Timeline, fault: str
) -> None:
    before = sorted(map(_name, pods.servers()))
    changes = pods.release("9.0")
    archive = pods.cluster.folder / release.STORE / f"{release.MODEL}-9.0.mar"
    if fault == "an archive cut short":
        archive.write_bytes(archive.read_bytes()[:-1])
    else:
        changes = pods.release("9.1", handler=Path(__file__).with_name("no_handler.py"))
    with timeline.step("commit → CrashLoopBackOff"):
        pods.cluster.bare.commit(changes, "A fault")
        pods.request()
        _wait_for_pods(
            pods,
            lambda all_pods: any(_waits_for(each) == "CrashLoopBackOff" for each in all_pods),
            "the new pod's back-off",
        )
    ready = sorted(_name(each) for each in pods.servers() if is_ready(each))
    assert ready == before


def test_full_queue_stays_in_the_service(pods: Pods, timeline: Timeline) -> None:
    names = [*map(_name, pods.servers())]
    # Far more than two workers answer: the queues of 100 are full at once.
    with pods.load(1_500, 10) as watch:
        watch.quiet(5)
        assert [_probes(pods, name) for name in names] == [GOOD, GOOD]
        assert all(is_ready(_pod(pods, name)) for name in names)
    counts = watch.counts()
    timeline.load |= counts
    assert counts["wrong"] == 0
    assert counts["failed"] + counts["dropped"], "the queue was never full"


def test_full_disk_evicts_the_pod_and_another_one_comes(pods: Pods, timeline: Timeline) -> None:
    name = _name(pods.servers()[0])
    pods.kubectl("exec", f"--namespace={NAME}", name, "--", "sh", "-c", _FILL)
    with timeline.step("full → evicted"):
        eventually(lambda: text(_pod(pods, name), "status", "reason") == "Evicted", _MINUTES)
    with timeline.step("evicted → another one is Ready"):
        eventually(lambda: sum(map(is_ready, pods.servers())) == 2, _MINUTES)
    assert not is_ready(_pod(pods, name))
