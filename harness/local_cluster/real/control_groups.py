"""The control groups of a cluster's nodes: all of them that the kernel does not remove."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

_MOUNTS = Path("/sys/fs/cgroup")


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


def remove(cluster: Path) -> None:
    """Remove every control group of a cluster, whose processes have ended."""
    for hierarchy in _hierarchies():
        for group in hierarchy.glob(f"{_prefix(cluster)}-*"):
            for folder, _, _ in os.walk(group, topdown=False):
                Path(folder).rmdir()


def _hierarchies() -> Iterator[Path]:
    """Version 2's one hierarchy, or version 1's, one a controller (and version 2 with them)."""
    if (_MOUNTS / "cgroup.controllers").exists():
        yield _MOUNTS
    else:
        yield from (each for each in _MOUNTS.iterdir() if (each / "cgroup.procs").exists())


def _prefix(cluster: Path) -> str:
    return f"harness-{hashlib.sha256(bytes(cluster.resolve())).hexdigest()[:8]}"
