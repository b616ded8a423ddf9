"""The pod that tries what no other pod may: it leaves nothing, and knows when it proves nothing."""

import json
import socket
import sys
from pathlib import Path

import pytest

from harness.core import command
from harness.core.errors import HarnessError
from harness.kubernetes import api
from harness.kubernetes.api import Api
from harness.smoke import probe_pod
from harness.smoke.probe_pod import Port
from tests.smoke.conftest import finish_probe
from tests.support.api_server import State, serving
from tests.support.processes import free_ports

SERVER = {
    "spec": {
        "containers": [{"image": "registry.example.com/torchserve@sha256:" + "0" * 64}],
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    }
}
PORTS = [Port("torchserve-a", "10.0.7.7", number, f"port {number}") for number in (8081, 8080)]


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def cluster(state: State, tmp_path: Path):  # noqa: ANN201, RUF100
    with serving(state, tmp_path / "kubeconfig"):
        yield api.connect(tmp_path / "kubeconfig")


def test_it_says_which_ports_it_reached_and_is_gone(cluster: Api, state: State) -> None:
    state.ran = lambda pod: finish_probe(pod, [True, False, True])
    assert probe_pod.reachable_ports(cluster, SERVER, PORTS) == PORTS[1:]
    assert state.objects == []


def test_it_runs_the_servers_image_where_that_is(cluster: Api, state: State) -> None:
    pods = []
    state.ran = lambda pod: (pods.append(pod), finish_probe(pod, [True, False, False]))
    probe_pod.reachable_ports(cluster, SERVER, PORTS)
    [pod] = pods
    assert pod["spec"]["containers"][0]["image"] == SERVER["spec"]["containers"][0]["image"]
    assert pod["spec"]["tolerations"] == SERVER["spec"]["tolerations"]
    assert pod["spec"]["containers"][0]["args"] == ["10.0.7.7 8081", "10.0.7.7 8080"]


def test_who_reaches_nothing_at_all_proves_nothing(cluster: Api, state: State) -> None:
    state.ran = lambda pod: finish_probe(pod, [False, False, False])
    with pytest.raises(HarnessError, match="does not even reach DNS"):
        probe_pod.reachable_ports(cluster, SERVER, PORTS)
    assert state.objects == []


def test_a_pod_that_could_not_run_says_why(cluster: Api, state: State) -> None:
    ended = {"terminated": {"exitCode": 1, "message": "python: not found"}}
    status = {"phase": "Failed", "containerStatuses": [{"state": ended}]}
    state.ran = lambda pod: pod.update(status=status)
    with pytest.raises(HarnessError, match="could not try anything: python: not found"):
        probe_pod.reachable_ports(cluster, SERVER, PORTS)


def test_what_a_killed_run_has_left_is_swept_away(cluster: Api, state: State) -> None:
    leftover = probe_pod.manifest(SERVER, PORTS)
    finish_probe(leftover, [True, False, False])
    state.add(leftover)
    state.ran = lambda pod: finish_probe(pod, [True, False, False])
    probe_pod.reachable_ports(cluster, SERVER, PORTS)
    assert state.objects == []


def test_its_program_tells_open_ports_from_closed_ones(tmp_path: Path) -> None:
    """The pod's own command, with the files of a pod here and a listener for DNS."""
    message, resolv = tmp_path / "termination-log", tmp_path / "resolv.conf"
    resolv.write_text("search svc.cluster.local\nnameserver 127.0.0.1\noptions ndots:5\n")
    with (
        socket.create_server(("127.0.0.1", 0)) as dns,
        socket.create_server(("127.0.0.1", 0)) as it,
    ):
        [closed] = free_ports(1)
        ports = [Port("a", "127.0.0.1", number, "x") for number in (it.getsockname()[1], closed)]
        container = probe_pod.manifest(SERVER, ports)["spec"]["containers"][0]  # type: ignore[index]
        _, option, program = container["command"]
        for pod_value, local_value in (
            ("/dev/termination-log", str(message)),
            ("/etc/resolv.conf", str(resolv)),
            ('" 53"', f'" {dns.getsockname()[1]}"'),
        ):
            assert pod_value in program
            program = program.replace(pod_value, local_value)
        command.run([sys.executable, option, program, *container["args"]], timeout=60)
    assert json.loads(message.read_text()) == [True, True, False]
