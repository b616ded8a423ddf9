"""Faults of a server in a real pod: what each probe says, and what Kubernetes then does.

Those of the node, of memory, disks and clocks are in test_real_probes_of_nodes.py.
"""

import re
import signal
from pathlib import Path

import pytest

from harness.core.git import Changes
from harness.core.values import text
from harness.local_cluster.real import release
from tests.e2e.timeline import Timeline
from tests.real import faults
from tests.real.pods import Pods
from tests.real.probes import GOOD, Probes
from tests.support.processes import eventually

pytestmark = pytest.mark.load

_STOPS = (
    240.0  # seconds for the kubelet to act: a hung JVM has its whole grace period (175 s) first
)
_STARTS = 120.0  # seconds for a container to be in the Service; 15 on a quiet machine
_LOAD = 240  # seconds that the slow model loads
_NO_HANDLER = Path(__file__).with_name("no_handler.py")


@pytest.fixture
def probes(pods: Pods, timeline: Timeline) -> Probes:
    """Two fresh pods."""
    faults.begin(pods)
    return Probes(pods, timeline)


def test_jvm_that_hangs_leaves_the_service_and_is_restarted(probes: Probes) -> None:
    name = probes.pods.signal("org.pytorch.serve.ModelServer", signal.SIGSTOP)
    sight = probes.wait_for(name, "hung → out of the Service", 60, serves=False)
    assert (sight.startup, sight.ready, sight.restarts) == (200, 503, 0)
    probes.wait_for(name, "out of the Service → not alive", 60, live=503)
    probes.wait_for(name, "not alive → restarted", _STOPS, restarts=1)
    sight = probes.wait_for(name, "restarted → in the Service", _STARTS, serves=True)
    assert (sight.startup, sight.ready, sight.live) == (200, 200, 200)


def test_worker_killed_again_and_again_stays_in_the_service(probes: Probes) -> None:
    for number in range(1, 6):
        name = eventually(lambda: probes.pods.try_signal("model_service_worker", signal.SIGKILL))
        assert probes.note(name, f"killed {number}") == GOOD


def test_worker_that_dies_of_each_request_stays_in_the_service(probes: Probes) -> None:
    name = faults.first(probes.pods)
    for number in range(1, 6):
        assert probes.predict(name, "die")[0] != 200
        assert probes.note(name, f"died {number}") == GOOD
    with probes.timeline.step("died → answers"):
        eventually(lambda: probes.predict(name, "a request")[0] == 200, _STARTS)
    assert probes.look(name) == GOOD


def test_worker_that_cannot_load_again_leaves_the_service_and_is_restarted(probes: Probes) -> None:
    name = faults.first(probes.pods)
    probes.predict(name, "never load again")
    assert probes.note(name, "died") == GOOD
    sight = probes.wait_for(name, "died → out of the Service", 120, serves=False)
    assert (sight.startup, sight.ready, sight.live, sight.restarts) == (200, 503, 200, 0)
    sight = probes.wait_for(name, "out of the Service → given up", 120, live=503)
    assert (sight.startup, sight.ready, sight.restarts) == (200, 503, 0)
    probes.wait_for(name, "given up → restarted", _STOPS, restarts=1)
    sight = probes.wait_for(name, "restarted → in the Service", _STARTS, serves=True)
    assert (sight.startup, sight.ready, sight.live) == (200, 200, 200)


def test_device_side_assert_ends_the_worker_and_nothing_else(probes: Probes) -> None:
    """Simulated: there is no GPU, the handler raises what PyTorch would, from then on."""
    name = faults.first(probes.pods)
    status, _ = probes.predict(name, "assert")
    assert status == 507
    assert probes.note(name, "asserted") == GOOD
    with probes.timeline.step("asserted → answers"):
        eventually(lambda: probes.predict(name, "a request")[0] == 200, _STARTS)
    assert probes.note(name, "answers") == GOOD


def test_device_that_fails_each_new_worker_has_the_pod_restarted(probes: Probes) -> None:
    """Simulated in the same way; new processes of the container find the GPU broken too."""
    name = faults.first(probes.pods)
    probes.predict(name, "assert for good")

    def fails_alive() -> bool:
        probes.predict(name, "a request")
        return probes.look(name).live != 200

    with probes.timeline.step("asserted → not alive"):
        eventually(fails_alive, _STOPS)
    assert "restarts did not help" in probes.answers(name)["live"][1]
    sight = probes.wait_for(name, "not alive → out of the Service", 30, serves=False)
    assert (sight.startup, sight.ready, sight.restarts) == (200, 503, 0)
    probes.wait_for(name, "not alive → restarted", _STOPS, restarts=1)
    sight = probes.wait_for(name, "restarted → in the Service", _STARTS, serves=True)
    assert probes.predict(name, "a request")[0] == 200


def test_load_of_four_minutes_is_waited_for(probes: Probes) -> None:
    old = faults.names(probes.pods)
    changes = faults.changes(probes.pods, {"env": [{"name": "LOAD_SECONDS", "value": str(_LOAD)}]})
    with probes.timeline.step("commit → in the Service"):
        name = faults.commit(probes.pods, _with_patience(changes))
        with probes.timeline.step("started → loaded"):
            for quarter in range(1, 4):
                faults.pause(_LOAD / 4)
                sight = probes.note(name, f"after {quarter * _LOAD // 4} s")
                assert (sight.startup, sight.ready, sight.live) == (503, 503, 200)
                assert not sight.serves
            probes.wait_for(name, "the rest", _STOPS, startup=200)
        sight = probes.wait_for(name, "loaded → in the Service", 30, serves=True)
    assert sight == GOOD
    assert set(old) & set(faults.names(probes.pods)), "an old pod served meanwhile"


def _with_patience(changes: Changes) -> Changes:
    path = next(each for each in changes if each.endswith("config.properties"))
    changed = re.sub(r'(startupTimeout"\\?: )\d+', r"\g<1>300", str(changes[path]))
    assert changed != changes[path]
    return {**changes, path: changed}


@pytest.mark.parametrize(
    ("fault", "says"),
    [("an archive cut short", "bytes where"), ("no handler", "cannot be loaded")],
)
def test_release_that_cannot_start_never_replaces_a_pod(
    probes: Probes, fault: str, says: str
) -> None:
    old = faults.names(probes.pods)
    if fault == "no handler":
        changes = probes.pods.release("unloadable", handler=_NO_HANDLER)
    else:
        changes = probes.pods.release("cut")
        archive = probes.pods.cluster.folder / release.STORE / f"{release.MODEL}-cut.mar"
        archive.write_bytes(archive.read_bytes()[:-1])
    with probes.timeline.step("commit → CrashLoopBackOff"):
        name = faults.commit(probes.pods, changes)
        eventually(lambda: faults.waits_for(probes.pod(name)) == "CrashLoopBackOff", _STOPS)
    sight = probes.note(name, "CrashLoopBackOff")
    assert (sight.startup, sight.ready, sight.live, sight.serves) == (0, 0, 0, False)
    assert says in faults.last_words(probes.pod(name))
    assert [probes.note(each, f"old pod {number}") for number, each in enumerate(old)] == [GOOD] * 2


def test_full_queue_stays_in_the_service(probes: Probes) -> None:
    names = faults.names(probes.pods)
    # Far more than two workers answer: the queues of 100 are full at once.
    with probes.pods.load(1_500, 10) as watch:
        watch.quiet(5)
        assert [probes.note(name, f"full {name[-5:]}") for name in names] == [GOOD, GOOD]
    counts = watch.counts()
    probes.timeline.load |= counts
    assert counts["wrong"] == 0
    assert counts["failed"] + counts["dropped"], "the queue was never full"
    assert {text(each, "metadata", "name") for each in probes.pods.servers()} == set(names)
