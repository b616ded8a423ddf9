"""Faults of what a real pod runs on: GPUs, memory, disks, the clock, the model store."""

import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from harness.core import command
from harness.core.git import Changes
from harness.core.values import Value, items, text
from harness.kubernetes import kinds
from harness.local_cluster.real import release
from tests.e2e.timeline import Timeline
from tests.real import faults, store
from tests.real.pods import NAME, Pods
from tests.real.probes import GOOD, Probes
from tests.support.processes import eventually

pytestmark = pytest.mark.load

# Seconds for the kubelet to act: a start may take 180 (startupSeconds and startupTimeout).
_STOPS = 300.0
_GIVES_UP = 480.0  # seconds: 180 of the startup probe, then the pod's grace period, up to 175
_STARTS = 120.0  # seconds for a container to be in the Service; 15 on a quiet machine
_HANGS = 60.0  # seconds
_HOUR = 3_600
_NO_GPU = "there is no GPU: nvidia-smi is not in the container"
_STORE = "/home/model-server/model-store"  # where a pod has it
_WRONG_CLOCK = Path(faults.__file__).with_name("wrong_clock.c")
_SMALL: Value = {
    "volumes": [{"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}]
}


@pytest.fixture
def probes(pods: Pods, timeline: Timeline) -> Probes:
    """Two fresh pods."""
    faults.begin(pods)
    return Probes(pods, timeline)


def test_pods_that_want_gpus_wait_for_a_node_that_has_some(probes: Probes) -> None:
    old = faults.names(probes.pods)
    probes.pods.cluster.bare.commit(faults.changes(probes.pods, {"gpus": 1}), "A fault")
    probes.pods.request()
    with probes.timeline.step("commit → cannot be scheduled"):
        reason = eventually(lambda: _unschedulable(probes.pods), _STARTS)
    probes.timeline.figures["reason"] = reason
    assert "didn't match" in reason
    # Where each pod has GPUs there is none for one more: an old pod has made room.
    left = [name for name in old if probes.pod(name)]
    assert [probes.note(name, "old pod") for name in left if probes.serves(name)] == [GOOD]


def _unschedulable(pods: Pods) -> str:
    for pod in pods.servers():
        for each in items(pod, "status", "conditions"):
            if text(each, "reason") == "Unschedulable":
                return text(each, "message")
    return ""


def test_server_that_finds_no_gpu_is_never_ready(probes: Probes) -> None:
    old = faults.names(probes.pods)
    changes = faults.changes(probes.pods)
    name = faults.commit(probes.pods, _with_gpu(changes))
    with probes.timeline.step("started → restarted"):
        sight = probes.wait_for(name, "started → answers", 30, live=200)
        assert (sight.startup, sight.ready, sight.serves) == (503, 503, False)
        # It asks for its endpoints before it looks for GPUs.
        eventually(lambda: _NO_GPU in probes.answers(name)["ready"][1], 30)
        sight = probes.wait_for(name, "answers → restarted", _GIVES_UP, restarts=1)
    assert not sight.serves
    assert [probes.note(each, f"old pod {number}") for number, each in enumerate(old)] == [GOOD] * 2


def _with_gpu(changes: Changes) -> Changes:
    path = next(each for each in changes if each.endswith("config.properties"))
    changed = re.sub(r"(?m)^number_of_gpu=0$", "number_of_gpu=1", str(changes[path]))
    assert changed != changes[path]
    return {**changes, path: changed}


def test_worker_that_eats_all_memory_is_killed_alone(probes: Probes) -> None:
    """On control groups of version 1: the kernel ends the largest process of the container."""
    name = faults.first(probes.pods)
    with probes.timeline.step("eats → killed"):
        status, _ = probes.predict(name, "eat memory")
    assert status >= 500
    assert probes.note(name, "killed") == GOOD
    with probes.timeline.step("killed → answers"):
        eventually(lambda: probes.predict(name, "a request")[0] == 200, _STARTS)
    assert probes.look(name) == GOOD


def test_container_out_of_memory_is_restarted(probes: Probes) -> None:
    """Simulated: with version 2 the kernel ends all processes of the container, as here a test."""
    name = faults.first(probes.pods)
    probes.kill(name)
    sight = probes.wait_for(name, "killed → out of the Service", 30, serves=False)
    sight = probes.wait_for(name, "out of the Service → in the Service", _STARTS, serves=True)
    assert (sight.startup, sight.ready, sight.live, sight.restarts) == (200, 200, 200, 1)


def test_disk_that_is_used_up_has_the_pod_evicted(probes: Probes) -> None:
    name = faults.first(probes.pods)
    fill = "dd if=/dev/zero of=/run/torchserve/full bs=1M count=1200"
    probes.pods.kubectl("exec", f"--namespace={NAME}", name, "--", "sh", "-c", fill)
    sight = probes.note(name, "full")
    assert sight == GOOD
    with probes.timeline.step("full → evicted"):
        eventually(lambda: text(probes.pod(name), "status", "reason") == "Evicted", _STOPS)
    assert not probes.serves(name)
    with probes.timeline.step("evicted → another one serves"):
        eventually(lambda: sum(map(probes.serves, faults.names(probes.pods))) == 2, _STARTS)


def test_disk_without_a_byte_left_takes_nothing_from_the_server(probes: Probes) -> None:
    probes.pods.sync(faults.changes(probes.pods, {"podSpec": _SMALL}))
    name = faults.first(probes.pods)
    fill = "dd if=/dev/zero of=/run/torchserve/full bs=1M || df /run/torchserve"
    output = probes.pods.kubectl("exec", f"--namespace={NAME}", name, "--", "sh", "-c", fill)
    assert "100%" in output
    assert probes.note(name, "full") == GOOD
    assert probes.predict(name, "a request")[0] == 200
    probes.predict(name, "die")
    with probes.timeline.step("its worker died → answers"):
        eventually(lambda: probes.predict(name, "a request")[0] == 200, _STARTS)
    assert probes.note(name, "its worker is back") == GOOD


def test_clock_that_jumps_changes_no_probe(probes: Probes) -> None:
    """The pod's clock alone: the kubelet's and the gateway's stay right."""
    folder = probes.pods.cluster.folder / release.STORE
    library = ["gcc", "-shared", "-fPIC", "-o", folder / "wrong_clock.so", _WRONG_CLOCK]
    command.run(library, timeout=60)
    clock = folder / "clock"
    clock.write_text("0\n")
    variables = {"LD_PRELOAD": f"{_STORE}/wrong_clock.so", "WRONG_CLOCK": f"{_STORE}/clock"}
    env = [{"name": key, "value": each} for key, each in variables.items()]
    probes.pods.sync(faults.changes(probes.pods, {"env": env}))
    name = faults.first(probes.pods)
    for jump in (_HOUR, -_HOUR):
        clock.write_text(f"{jump}\n")
        with probes.timeline.step(f"{jump:+} s → it is that late"):
            eventually(partial(_is_off_by, probes, name, jump), 30)
        for look in range(5):
            assert probes.note(name, f"{jump:+} s, look {look}") == GOOD
            assert probes.predict(name, "a request")[0] == 200
        probes.predict(name, "die")
        with probes.timeline.step(f"{jump:+} s: its worker died → answers"):
            eventually(lambda: probes.predict(name, "a request")[0] == 200, _STARTS)
        assert probes.look(name) == GOOD


def _is_off_by(probes: Probes, name: str, seconds: float) -> bool:
    """Whether a new process of the container takes it for so much later than it is."""
    words = ("python", "-c", "import time; print(time.time())")
    its_time = float(probes.pods.kubectl("exec", f"--namespace={NAME}", name, "--", *words))
    return abs(its_time - time.time() - seconds) < 30


@pytest.fixture
def by_fuse(probes: Probes) -> Iterator[None]:
    """New pods whose store of models can be made to hang."""
    with store.serve(probes.pods, faults.changes(probes.pods, store.VALUES)):
        yield


@pytest.mark.usefixtures("by_fuse")
def test_store_that_hangs_takes_nothing_from_who_serves(probes: Probes) -> None:
    name = faults.first(probes.pods)
    with store.hang(probes.pods):
        for look in range(5):
            assert probes.note(name, f"hangs, look {look}") == GOOD
            assert probes.predict(name, "a request")[0] == 200
        probes.predict(name, "die")
        with probes.timeline.step("its worker died → answers"):
            eventually(lambda: probes.predict(name, "a request")[0] == 200, _STARTS)
        assert probes.look(name) == GOOD


@pytest.mark.usefixtures("by_fuse")
def test_store_that_hangs_keeps_new_pods_out_until_it_is_back(probes: Probes) -> None:
    gone, stays = faults.names(probes.pods)
    with store.hang(probes.pods):
        probes.pods.cluster.api.delete(kinds.POD, gone, NAME)
        (name,) = eventually(lambda: set(faults.names(probes.pods)) - {gone, stays}, _STARTS)
        faults.pause(_HANGS)
        sight = probes.note(name, f"after {_HANGS:g} s")
        assert (sight.ready, sight.serves) == (0, False)
        probes.timeline.figures["it waits for"] = faults.waits_for(probes.pod(name))
        assert probes.note(stays, "the other pod") == GOOD
    sight = probes.wait_for(name, "back → in the Service", _STOPS, serves=True)
    assert sight == GOOD
