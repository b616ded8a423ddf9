"""Real nodes of a local cluster: what they need, their objects, the components they are."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import programs, tools
from harness.core import files
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.core.values import Value
from harness.local_cluster import supervisor
from harness.local_cluster.ports import Ports
from harness.local_cluster.real import components as node_components
from harness.local_cluster.real import node
from harness.local_cluster.real import relay as relay_module
from harness.local_cluster.real.network import BALANCER, SANDBOX, NodeNetwork
from harness.local_cluster.supervisor import Component, Plan

# What is run, or included by gcc, and the Debian package that has it.
_PACKAGES = {
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "dnsmasq": "dnsmasq-base",
    "gcc": "gcc",
    "ip": "iproute2",
    "ipset": "ipset",
    "iptables": "iptables",
    "nft": "nftables",
    "unshare": "util-linux",
}
DNS = "dns"
"""The folder of a cluster whose files say which name has which address, as /etc/hosts does."""

_HEADERS = {Path("/usr/include/seccomp.h"): "libseccomp-dev"}


@dataclass(frozen=True, slots=True)
class Ground:
    """What the nodes of a local cluster are.

    Attributes:
        nodes: how many are real; with none they are kwok's.
        images: the folder of the images that pods may have, in the OCI layout.
        seconds: for all components to be ready: 6 on a quiet machine with kwok, images aside.
    """

    nodes: int = 0
    images: Path = Path()
    seconds: float = 60.0


KWOK = Ground()


def require(repository: Repository) -> None:
    """Check that this machine can run real nodes.

    Raises:
        UsageError: something is missing; the hint gets it.
    """
    if os.geteuid():
        raise UsageError(
            "real nodes need root: they have networks, mounts and control groups",
            hint="sudo make cluster REAL=1, or without REAL=1: nodes and pods are kwok's then",
        )
    packages = {package for program, package in _PACKAGES.items() if not shutil.which(program)}
    packages |= {package for header, package in _HEADERS.items() if not header.exists()}
    if packages:
        raise UsageError(
            f"real nodes need what this machine lacks: {', '.join(sorted(packages))}",
            hint=f"apt-get install {' '.join(sorted(packages))}",
        )
    absent = [name for name in programs.NODE if not tools.at_hand(repository, name)]
    if absent:
        raise UsageError(
            f"real nodes need programs that are not built: {', '.join(absent)}",
            hint="harness tools --node",
        )


def missing(repository: Repository) -> str:
    """Return why this machine cannot run real nodes, and what to do, or nothing if it can."""
    try:
        require(repository)
    except UsageError as error:
        return f"{error.message} ({error.hint})"
    return ""


def objects(count: int) -> Iterator[Value]:
    """Nodes as they are before their kubelets come: name, labels, the range of their pods."""
    for number in range(count):
        each = NodeNetwork(number)
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": each.name,
                "labels": {
                    "kubernetes.io/hostname": each.name,
                    "topology.kubernetes.io/region": "local1",
                    "topology.kubernetes.io/zone": f"local1{'abc'[number % 3]}",
                },
            },
            "spec": {"podCIDR": each.pods, "podCIDRs": [each.pods]},
        }


def components(
    repository: Repository, folder: Path, ports: Ports, kubeconfig: Path, ground: Ground
) -> list[Component]:
    """Write plan and settings of each node; return what runs in a sandbox for them.

    Args:
        repository: the working tree, with the programs.
        folder: of the cluster.
        ports: of the machine, for the API server and the gateway.
        kubeconfig: of the administrator.
        ground: how many nodes, with which images.
    """
    executables = {name: tools.find(repository, name) for name in programs.NODE}
    inner = _from_nodes(kubeconfig)
    routes = (
        f"{ports.apiserver}=127.0.0.1:{ports.apiserver}",
        f"{ports.gateway}={BALANCER}:443",
    )
    relay = (sys.executable, "-m", relay_module.__name__, *routes)
    return [
        Component(name="relay", argv=relay),
        _dns(folder),
        *(
            _node(folder, NodeNetwork(number), executables, inner, ground.images)
            for number in range(ground.nodes)
        ),
    ]


def _dns(cluster: Path) -> Component:
    """The names that pods ask for: one file of hosts for each part that wants some."""
    (cluster / DNS).mkdir()
    return Component(
        name="dns",
        argv=(
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
            "--no-resolv",
            "--no-hosts",
            f"--hostsdir={cluster / DNS}",
            f"--listen-address={SANDBOX}",
            "--bind-interfaces",
        ),
    )


def _node(
    cluster: Path,
    network: NodeNetwork,
    executables: Mapping[str, Path],
    kubeconfig: Path,
    images: Path,
) -> Component:
    folder = cluster / network.name
    plan = Plan(
        components=tuple(
            node_components.components(folder, network, executables, kubeconfig, images)
        )
    )
    files.write(folder / supervisor.PLAN, plan.model_dump_json())
    return Component(
        name=network.name,
        argv=tuple(node.argv(network.name, folder)),
        after=("bootstrap",),
        ready=f"http://{network.address}:10248/healthz",
        kill=True,
    )


def _from_nodes(kubeconfig: Path) -> Path:
    """A kubeconfig that reaches the API server from a node."""
    config = kubeconfig.read_text().replace("127.0.0.1", SANDBOX)
    path = kubeconfig.with_name("kubeconfig-of-nodes.yaml")
    path.touch(mode=0o600)
    path.write_text(config)
    return path
