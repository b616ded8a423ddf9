"""A local cluster leaves nothing behind, however it ends."""

import signal
import socket
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from harness.core.repository import Repository
from harness.local_cluster import local
from harness.local_cluster.local import LocalCluster
from harness.local_cluster.process import Process

_NAME = "e2e-lifecycle"


@pytest.fixture
def cluster(checkout: Repository) -> Iterator[LocalCluster]:
    yield local.up(checkout, _NAME, "local")
    local.down(checkout, _NAME)


def _processes(cluster: LocalCluster) -> list[Process]:
    state = cluster.state
    return [
        state.supervisor,
        *(each.process for each in state.components.values() if each.pid),
    ]


def _assert_nothing_is_left(cluster: LocalCluster, processes: list[Process]) -> None:
    assert not [each for each in processes if each.alive]
    assert not cluster.folder.exists()
    for port in (each for each in asdict(cluster.ports).values() if isinstance(each, int)):
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))


def test_down_leaves_nothing(cluster: LocalCluster) -> None:
    processes = _processes(cluster)
    assert len(processes) > 8
    assert local.down(cluster.repository, _NAME)
    _assert_nothing_is_left(cluster, processes)
    assert not local.down(cluster.repository, _NAME)


def test_down_leaves_nothing_after_the_supervisor_was_killed(cluster: LocalCluster) -> None:
    processes = _processes(cluster)
    cluster.state.supervisor.signal(signal.SIGKILL)
    local.down(cluster.repository, _NAME)
    _assert_nothing_is_left(cluster, processes)


def test_up_after_everything_was_killed_starts_anew(cluster: LocalCluster) -> None:
    before = _processes(cluster)
    for each in before:
        each.stop(0)
    again = local.up(cluster.repository, _NAME, "local")
    assert again.alive
    assert not [each for each in before if each.alive]
    assert again.state.supervisor != before[0]
