"""What real nodes leave behind: nothing, also when they are cut short."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.repository import Repository
from harness.core.values import dig, items, text
from harness.kubernetes import kinds
from harness.local_cluster import local, supervisor
from harness.local_cluster.real import control_groups, images, start
from harness.local_cluster.real.ground import missing
from tests.e2e.timeline import Timeline
from tests.real.pods import Pods
from tests.real.probes import ENDPOINTS
from tests.support.processes import eventually, processes

pytestmark = [pytest.mark.load, pytest.mark.timeout(1800)]

NAME = "cut"
_STARTS = 600.0  # seconds until a start is that far, on a busy machine too
UP = [sys.executable, "-m", "harness", "cluster", "up", "--real", "--name", NAME]


@pytest.fixture(autouse=True)
def _needs(checkout: Repository) -> None:
    if why := missing(checkout):
        pytest.skip(why)


@pytest.fixture
def folder(checkout: Repository) -> Iterator[Path]:
    """Of a cluster that is not there, and that is taken away whatever became of it."""
    start.prepare(checkout)
    local.down(checkout, NAME)
    yield checkout.build / "cluster" / NAME
    local.down(checkout, NAME)


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
        "processes of nodes": [
            each.name
            for each in Path("/proc").iterdir()
            if each.name.isdigit() and _is_in(each, group)
        ],
        "processes": [str(each) for each in processes(cluster)],
        "control groups": [
            str(each)
            for pattern in (f"{group}*", f"*/{group}*")  # of version 2, and of version 1
            for each in Path("/sys/fs/cgroup").glob(pattern)
        ],
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
    done_by = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    return done_by.stdout.splitlines()


@pytest.mark.parametrize("victim", ["supervisor", "nobody"])
def test_down_leaves_nothing(checkout: Repository, folder: Path, victim: str) -> None:
    before = _traces(folder)
    with subprocess.Popen(UP, cwd=checkout.root, stdout=subprocess.DEVNULL) as up:
        try:
            # The first node imports its images: containerd runs, with mounts and a control group.
            eventually(lambda: _imports_images(folder), _STARTS)
            state = supervisor.read_state(folder)
            assert state is not None
            if victim == "supervisor":
                os.kill(state.supervisor.pid, signal.SIGKILL)
        finally:
            up.kill()
    assert _traces(folder)["control groups"], "the node had begun"
    local.down(checkout, NAME)
    assert _traces(folder) == before


@pytest.mark.parametrize(
    ("end", "earliest", "latest"),
    [(signal.SIGKILL, 0.0, 3.0), (signal.SIGINT, 3.0, 15.0), (signal.SIGKILL, 15.0, 60.0)],
)
def test_start_that_is_cut_short_at_any_moment_is_made_good_by_the_next(
    checkout: Repository,
    folder: Path,
    timeline: Timeline,
    end: signal.Signals,
    earliest: float,
    latest: float,
) -> None:
    before = _traces(folder)
    moment = random.Random(latest).uniform(earliest, latest)  # noqa: S311 - no secret
    with subprocess.Popen(UP, cwd=checkout.root, stdout=subprocess.DEVNULL) as up:
        eventually(folder.exists, _STARTS)  # Python and the images are through
        time.sleep(moment)
        up.send_signal(end)
    timeline.figures["cut short"] = f"{end.name} after {moment:.1f} s"
    with timeline.step("the next → Ready"):
        subprocess.run(UP, cwd=checkout.root, stdout=subprocess.DEVNULL, check=True, timeout=900)
    local.down(checkout, NAME)
    assert _traces(folder) == before


def test_no_endpoint_is_kwoks(pods: Pods) -> None:
    nodes = {text(each, "metadata", "name"): each for each in pods.cluster.api.list_all(kinds.NODE)}
    versions = {text(each, "status", "nodeInfo", "kubeletVersion") for each in nodes.values()}
    assert all(version.startswith("v1.") for version in versions)
    where = {
        dig(endpoint, "nodeName")
        for piece in pods.cluster.api.list_all(ENDPOINTS)
        for endpoint in items(piece, "endpoints")
    }
    assert where - {None} == set(nodes), "the API server alone has an endpoint without a node"


def test_base_image_is_made_where_there_is_none(tmp_path: Path, timeline: Timeline) -> None:
    name = f"localhost/harness-base:test-{os.getpid()}"
    with timeline.step("nothing → base image"):
        images.make_base(tmp_path, name)
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    container = images.buildah("from", name)
    try:
        program = "import torch, torchvision; print(torch.__version__)"
        assert images.buildah("run", container, "--", "python", "-c", program).startswith("2.")
    finally:
        images.buildah("rm", container)
        images.buildah("rmi", name)


def test_base_image_that_is_cut_short_leaves_no_mount(tmp_path: Path) -> None:
    program = f"from harness.local_cluster.real import images; images.make_base({tmp_path!r}, 'no')"
    argv = [sys.executable, "-c", f"from pathlib import *; {program}"]
    root = tmp_path / "root"
    log = root / "debootstrap" / "debootstrap.log"
    with subprocess.Popen(argv, start_new_session=True) as maker:
        try:
            # From its second stage on /proc is mounted there.
            eventually(lambda: maker.poll() is not None or _unpacks(log), 900)
            assert maker.poll() is None, "it ended by itself"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(maker.pid, signal.SIGKILL)
    eventually(lambda: not processes(tmp_path))
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    shutil.rmtree(root)


def _unpacks(log: Path) -> bool:
    return log.exists() and "Unpacking" in log.read_text(errors="replace")


def _imports_images(folder: Path) -> bool:
    state = supervisor.read_state(folder / "node-0")
    return state is not None and state.components["images"].phase == "starting"
