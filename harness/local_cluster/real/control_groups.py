"""The control groups of a cluster's nodes: all of them that the kernel does not remove."""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

_MOUNTS = Path("/sys/fs/cgroup")
# A node counts as eight processes among those of the machine, not as one: probes have time limits.
_SHARES = {"cpu.shares": 8 * 1024, "cpu.weight": 8 * 100}
_ENDED = 20.0  # seconds that the kernel may take to end a node's processes
_POLL = 0.05


def name_of(cluster: Path, node: str) -> str:
    """The name of a node's control group in every hierarchy.

    Args:
        cluster: its folder; another checkout's cluster of the same name has other groups.
        node: the node.
    """
    return f"{_prefix(cluster)}-{node}"


def make(cluster: Path, node: str) -> None:
    """Make a node's control group in every hierarchy."""
    for hierarchy in _hierarchies():
        group = hierarchy / name_of(cluster, node)
        group.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # version 1: a group without them runs nothing
            if (group / file).exists():
                (group / file).write_text((hierarchy / file).read_text())
        for file, share in _SHARES.items():
            if (group / file).exists():
                (group / file).write_text(f"{share}\n")


def remove(cluster: Path) -> None:
    """Remove every control group of a cluster, as soon as the last process of each has ended.

    Raises:
        OSError: one still has processes.
    """
    deadline = time.monotonic() + _ENDED
    for hierarchy in _hierarchies():
        for group in hierarchy.glob(f"{_prefix(cluster)}-*"):
            for folder, _, _ in os.walk(group, topdown=False):
                _remove(Path(folder), deadline)


def _remove(group: Path, deadline: float) -> None:
    while True:
        try:
            return group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL)


def _hierarchies() -> Iterator[Path]:
    """Version 2's one hierarchy, or version 1's, one a controller (and version 2 with them)."""
    if (_MOUNTS / "cgroup.controllers").exists():
        yield _MOUNTS
    else:
        yield from (each for each in _MOUNTS.iterdir() if (each / "cgroup.procs").exists())


def _prefix(cluster: Path) -> str:
    return f"harness-{hashlib.sha256(bytes(cluster.resolve())).hexdigest()[:8]}"
