"""The store of models by a file system that hangs when it is told to, under real pods.

FUSE, since no network file system can be mounted here: bindfs serves the store's folder over
itself on each node, and hangs while it is stopped.
"""

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from harness.core import command
from harness.core.git import Changes
from harness.core.values import text
from harness.kubernetes import kinds
from harness.local_cluster.real import release
from tests.real.pods import Pods
from tests.real.probes import inside
from tests.support.parent_death import bind_to_parent
from tests.support.processes import eventually

PROGRAM = "bindfs"
VALUES = {"podAnnotations": {"store": "fuse"}}
"""The chart's values with which pods are replaced, so that they get the new mount."""

_SECONDS = 30.0  # until it is mounted; one on a quiet machine


@contextlib.contextmanager
def serve(pods: Pods, changes: Changes) -> Iterator[None]:
    """Serve the store by FUSE while the block runs, to the pods of this commit.

    Args:
        pods: of the cluster.
        changes: with which pods are replaced; those after the block are to be others again.
    """
    if not shutil.which(PROGRAM):
        pytest.skip(f"{PROGRAM} is not there (apt-get install {PROGRAM})")
    path = pods.cluster.folder / release.STORE
    argv = [PROGRAM, "-f", "-o", "allow_other", str(path), str(path)]
    with contextlib.ExitStack() as until:
        servers = []
        for node in pods.cluster.api.list_all(kinds.NODE):
            enter = inside(pods.cluster, text(node, "metadata", "name"), mounts=True)
            servers.append(subprocess.Popen(bind_to_parent([*enter, *argv])))
            until.callback(servers[-1].wait)
            until.callback(servers[-1].kill)
            # While somebody serves it: a path that nobody answers for cannot be looked up.
            words = [*enter, "--pid", "umount", "--lazy", str(path)]
            until.callback(partial(command.run, words, timeout=20))
        eventually(lambda: all(_is_fuse(each.pid, str(path)) for each in servers), _SECONDS)
        pods.sync(changes)
        yield


@contextlib.contextmanager
def hang(pods: Pods) -> Iterator[None]:
    """Have the store answer nobody while the block runs, on no node."""
    servers = _servers(pods)
    assert len(servers) == pods.cluster.real, "it is served on each node"
    for each in servers:
        each.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in servers:
            each.send_signal(signal.SIGCONT)


def _servers(pods: Pods) -> list[psutil.Process]:
    path, servers = str(pods.cluster.folder / release.STORE), []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = each.cmdline()
            if words and Path(words[0]).name == PROGRAM and path in words:
                servers.append(each)
    return servers


def _is_fuse(server: int, path: str) -> bool:
    mounts = Path(f"/proc/{server}/mounts").read_text().splitlines()
    return any(line.split()[1:3] == [path, "fuse"] for line in mounts)
