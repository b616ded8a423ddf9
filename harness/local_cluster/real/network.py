"""The addresses of a sandbox, and the commands that make its network.

    sandbox ── bridge nodes, 172.31.0.1 ─┬─ node-0: 172.31.0.10, pods 10.244.0.0/24
                                         └─ node-1: 172.31.0.11, pods 10.244.1.0/24

The control plane, Flux and Envoy Gateway run in the sandbox itself, at 172.31.0.1. Nothing leads
out of it. kwok's pods are elsewhere: a cluster has the nodes of one or of the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

SANDBOX = "172.31.0.1"
"""Where pods and nodes find the API server, DNS and Envoy Gateway."""

PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
BALANCER = "172.31.0.100"
"""Where a load balancer would answer: the first node's kube-proxy does, for its own pods."""

_BRIDGE = "nodes"


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    """Name and addresses of a node.

    Attributes:
        number: of the node, from 0.
    """

    number: int

    @property
    def name(self) -> str:
        """Of the node, and of its network namespace."""
        return f"node-{self.number}"

    @property
    def address(self) -> str:
        """Of the node."""
        return f"172.31.0.{10 + self.number}"

    @property
    def pods(self) -> str:
        """The range of its pods."""
        return f"10.244.{self.number}.0/24"


def commands(nodes: list[NodeNetwork]) -> Iterator[str]:
    """Commands that make the network of a sandbox, in it.

    Args:
        nodes: the nodes; the first also answers for the Services' addresses.
    """
    yield "ip link set lo up"
    yield f"ip link add {_BRIDGE} type bridge"
    yield f"ip address add {SANDBOX}/24 dev {_BRIDGE}"
    yield f"ip link set {_BRIDGE} up"
    yield "sysctl -qw net.ipv4.ip_forward=1"
    for node in nodes:
        yield f"ip netns add {node.name}"
        yield f"ip link add {node.name} type veth peer name eth0 netns {node.name}"
        yield f"ip link set {node.name} master {_BRIDGE} up"
        yield f"ip -n {node.name} link set lo up"
        yield f"ip -n {node.name} address add {node.address}/24 dev eth0"
        yield f"ip -n {node.name} link set eth0 up"
        yield f"ip -n {node.name} route add default via {SANDBOX}"
        yield f"ip route add {node.pods} via {node.address}"
        for other in nodes:
            if other != node:
                yield f"ip -n {node.name} route add {other.pods} via {other.address}"
    for where in (SERVICES, BALANCER):
        yield f"ip route add {where} via {nodes[0].address}"
