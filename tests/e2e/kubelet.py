"""A node whose kubelet is a second kwok: what is executed in its pods runs on this machine.

Its pods' logs are what a test says, and so is what a forwarded port is connected to. What a
container would add (its files, its network) is not shown.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from harness import tools
from harness.core.values import Value, text
from harness.kubernetes import kinds
from harness.local_cluster.control_plane import STAGES
from harness.local_cluster.local import LocalCluster
from tests.support.parent_death import bind_to_parent
from tests.support.processes import free_ports

NODE = "exec-0"
RELAY = """
import os, pathlib, socket, sys, threading
where = sys.argv[1]
port = int(where if where.isdigit() else pathlib.Path(where).read_text())
server = socket.create_connection(("127.0.0.1", port))
def send():
    while data := os.read(0, 65536):
        server.sendall(data)
threading.Thread(target=send, daemon=True).start()
while data := server.recv(65536):
    os.write(1, data)
"""
"""A program whose standard input and output are a connection to a port of this machine, which its
argument says, or the file that this names.
"""

_ROOM = {"cpu": "16", "memory": "64Gi", "pods": "10", "ephemeral-storage": "80Gi"}


@contextmanager
def running(
    cluster: LocalCluster, *options: str, forward: Mapping[int, Sequence[str]] | None = None
) -> Iterator[Path]:
    """The node, for as long as the block runs; the file that every pod's log is read from.

    Args:
        options: more for kwok.
        forward: by port of a pod, the command whose standard input and output it is.
    """
    [port] = free_ports(1)
    settings, pki, log = (
        cluster.folder / "exec.yaml",
        cluster.folder / "pki",
        cluster.folder / "log",
    )
    arguments = [
        _settings("ClusterExec", {"execs": [{"local": {"workDir": "/"}}]}),
        _settings("ClusterLogs", {"logs": [{"logsFile": str(log)}]}),
    ]
    forwards = [{"ports": [port], "command": list(argv)} for port, argv in (forward or {}).items()]
    if forwards:
        arguments.append(_settings("ClusterPortForward", {"forwards": forwards}))
    settings.write_text("\n---\n".join([STAGES.read_text(), *map(yaml.safe_dump, arguments)]))
    metadata = {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}}
    cluster.api.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
    _patch(cluster, {"capacity": _ROOM, "allocatable": _ROOM})
    argv = [
        tools.find(cluster.repository, "kwok"),
        f"--kubeconfig={cluster.kubeconfig}",
        f"--config={settings}",
        f"--manage-single-node={NODE}",
        f"--server-address=127.0.0.1:{port}",
        f"--tls-cert-file={pki / 'server.crt'}",
        f"--tls-private-key-file={pki / 'server.key'}",
        *options,
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "HOME": str(cluster.folder), "PATH": path}
    with (cluster.folder / "kubelet.log").open("wb") as output:
        kwok = subprocess.Popen(bind_to_parent(argv), stdout=output, stderr=output, env=environment)
    try:
        cluster.api.wait_for(kinds.NODE, _runs, seconds=30)
        address = [{"type": "InternalIP", "address": "127.0.0.1"}]
        endpoint = {"daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}
        _patch(cluster, {"addresses": address, **endpoint})
        yield log
    finally:
        kwok.terminate()
        kwok.wait(30)


def _settings(kind: str, spec: Value) -> Value:
    metadata = {"name": "here"}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec
    }  # fmt: skip


def _patch(cluster: LocalCluster, status: Value) -> None:
    cluster.api.patch(kinds.NODE, NODE, {"status": status}, part="status")


def _runs(nodes: list[Value]) -> bool:
    return any(
        text(node, "metadata", "name") == NODE and text(node, "status", "phase") == "Running"
        for node in nodes
    )
