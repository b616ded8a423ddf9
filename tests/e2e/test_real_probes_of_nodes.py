"""Faults of what a real pod runs on: GPUs, memory, disks, the clock, the model store."""

import contextlib
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import psutil
import pytest

from harness.core import command
from harness.core.git import Changes
from harness.core.values import Value, items, text
from harness.kubernetes import kinds
from harness.local_cluster.real import release
from tests.e2e.timeline import Timeline
from tests.real import faults
from tests.real.pods import NAME, Pods
from tests.real.probes import GOOD, Probes, inside
from tests.support.parent_death import bind_to_parent
from tests.support.processes import eventually

pytestmark = [pytest.mark.load, pytest.mark.timeout(900)]

_STOPS = 240.0  # seconds for the kubelet to act
_STARTS = 120.0  # seconds for a container to be in the Service; 15 on a quiet machine
_HANGS = 60.0  # seconds
_HOUR = 3_600
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
    probes.pods.cluster.bare.commit(probes.pods.release("2.0", {"gpus": 1}), "A fault")
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
    changes = probes.pods.release("2.0")
    name = faults.commit(probes.pods, _with_gpu(changes))
    with probes.timeline.step("started → restarted"):
        sight = probes.wait_for(name, "started → answers", 30, live=200)
        assert (sight.startup, sight.ready, sight.serves) == (503, 503, False)
        assert "there is no GPU: nvidia-smi is not in the container" in _why(probes, name)
        sight = probes.wait_for(name, "answers → restarted", _STOPS, restarts=1)
    assert not sight.serves
    assert [probes.note(each, f"old pod {number}") for number, each in enumerate(old)] == [GOOD] * 2


def _with_gpu(changes: Changes) -> Changes:
    path = next(each for each in changes if each.endswith("config.properties"))
    changed = re.sub(r"(?m)^number_of_gpu=0$", "number_of_gpu=1", str(changes[path]))
    assert changed != changes[path]
    return {**changes, path: changed}


def _why(probes: Probes, name: str) -> str:
    return probes.answers(name)["ready"][1]


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
    probes.pods.sync(probes.pods.release("2.0", {"podSpec": _SMALL}))
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
    store = probes.pods.cluster.folder / release.STORE
    library = ["gcc", "-shared", "-fPIC", "-o", store / "wrong_clock.so", _WRONG_CLOCK]
    command.run(library, timeout=60)
    clock = store / "clock"
    clock.write_text("0\n")
    variables = {"LD_PRELOAD": f"{_STORE}/wrong_clock.so", "WRONG_CLOCK": f"{_STORE}/clock"}
    env = [{"name": key, "value": each} for key, each in variables.items()]
    probes.pods.sync(probes.pods.release("2.0", {"env": env}))
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
def store(probes: Probes) -> Iterator[Sequence[psutil.Process]]:
    """The store of models on each node by FUSE, under new pods: who serves it can be stopped."""
    if not shutil.which("bindfs"):
        pytest.skip("bindfs is not there (apt-get install bindfs)")
    path = probes.pods.cluster.folder / release.STORE
    argv = ["bindfs", "-f", "-o", "allow_other", str(path), str(path)]
    nodes = [
        text(each, "metadata", "name") for each in probes.pods.cluster.api.list_all(kinds.NODE)
    ]
    with contextlib.ExitStack() as until:
        servers = []
        for node in nodes:
            enter = inside(probes.pods.cluster, node, mounts=True)
            servers.append(subprocess.Popen(bind_to_parent([*enter, *argv])))
            until.callback(servers[-1].wait)
            until.callback(servers[-1].kill)
            # While somebody serves it: a path that nobody answers for cannot be looked up.
            words = [*enter, "--pid", "umount", "--lazy", str(path)]
            until.callback(partial(command.run, words, timeout=20))
        eventually(lambda: all(_is_fuse(each, str(path)) for each in servers), 30)
        probes.pods.sync(probes.pods.release("2.0", {"podAnnotations": {"store": "fuse"}}))
        yield [psutil.Process(each.pid) for each in servers]


def _is_fuse(server: "subprocess.Popen[bytes]", path: str) -> bool:
    mounts = Path(f"/proc/{server.pid}/mounts").read_text().splitlines()
    return any(line.split()[1:3] == [path, "fuse"] for line in mounts)


@contextlib.contextmanager
def _hang(servers: Sequence[psutil.Process]) -> Iterator[None]:
    for each in servers:
        each.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in servers:
            each.send_signal(signal.SIGCONT)


def test_store_that_hangs_takes_nothing_from_who_serves(
    probes: Probes, store: Sequence[psutil.Process]
) -> None:
    name = faults.first(probes.pods)
    with _hang(store):
        for look in range(5):
            assert probes.note(name, f"hangs, look {look}") == GOOD
            assert probes.predict(name, "a request")[0] == 200
        probes.predict(name, "die")
        with probes.timeline.step("its worker died → answers"):
            eventually(lambda: probes.predict(name, "a request")[0] == 200, _STARTS)
        assert probes.look(name) == GOOD


def test_store_that_hangs_keeps_new_pods_out_until_it_is_back(
    probes: Probes, store: Sequence[psutil.Process]
) -> None:
    gone, stays = faults.names(probes.pods)
    with _hang(store):
        probes.pods.cluster.api.delete(kinds.POD, gone, NAME)
        (name,) = eventually(lambda: set(faults.names(probes.pods)) - {gone, stays}, _STARTS)
        faults.pause(_HANGS)
        sight = probes.note(name, f"after {_HANGS:g} s")
        assert (sight.ready, sight.serves) == (0, False)
        probes.timeline.figures["it waits for"] = faults.waits_for(probes.pod(name))
        assert probes.note(stays, "the other pod") == GOOD
    sight = probes.wait_for(name, "back → in the Service", _STOPS, serves=True)
    assert sight == GOOD
