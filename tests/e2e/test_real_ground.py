"""What real nodes leave behind: nothing, also when they are cut short."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.repository import Repository
from harness.local_cluster import local, supervisor
from harness.local_cluster.real import control_groups, start
from harness.local_cluster.real.ground import missing
from tests.support.processes import eventually

pytestmark = [pytest.mark.load, pytest.mark.timeout(900)]

NAME = "cut"


@pytest.fixture(autouse=True)
def _needs(checkout: Repository) -> None:
    if why := missing(checkout):
        pytest.skip(why)


def _traces(cluster: Path) -> dict[str, list[str]]:
    """What of this machine real nodes could have changed."""
    group = control_groups.name_of(cluster, "")
    settings = (
        "vm/overcommit_memory",
        "kernel/panic",
        "kernel/panic_on_oops",
        "net/ipv4/ip_forward",
    )
    return {
        "processes": [
            each.name
            for each in Path("/proc").iterdir()
            if each.name.isdigit() and _is_in(each, group)
        ],
        "control groups": [*map(str, Path("/sys/fs/cgroup").glob(f"*/{group}*"))],
        "mounts": Path("/proc/self/mounts").read_text().splitlines(),
        "links": _lines("ip", "-o", "-br", "link"),
        "routes": _lines("ip", "route"),
        "namespaces": _lines("ip", "netns"),
        "tables": _lines("nft", "list", "tables"),
        "sets": _lines("ipset", "list", "-name"),
        "settings": [Path("/proc/sys", each).read_text() for each in settings],
    }


def _is_in(process: Path, group: str) -> bool:
    try:
        return group in (process / "cgroup").read_text()
    except OSError:
        return False


def _lines(*argv: str) -> list[str]:
    done_by = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20)
    return done_by.stdout.splitlines()


@pytest.mark.parametrize("victim", ["supervisor", "nobody"])
def test_down_leaves_nothing(checkout: Repository, victim: str) -> None:
    start.prepare(checkout)
    folder = checkout.build / "cluster" / NAME
    local.down(checkout, NAME)
    before = _traces(folder)
    argv = [sys.executable, "-m", "harness", "cluster", "up", "--real", "--name", NAME]
    with subprocess.Popen(argv, cwd=checkout.root, stdout=subprocess.DEVNULL) as up:
        try:
            # The first node imports its images: containerd runs, with mounts and a control group.
            eventually(lambda: _imports_images(folder), 120)
            state = supervisor.read_state(folder)
            assert state is not None
            if victim == "supervisor":
                os.kill(state.supervisor.pid, signal.SIGKILL)
        finally:
            up.kill()
    assert _traces(folder)["control groups"], "the node had begun"
    local.down(checkout, NAME)
    assert _traces(folder) == before


def _imports_images(folder: Path) -> bool:
    state = supervisor.read_state(folder / "node-0")
    return state is not None and state.components["images"].phase == "starting"
