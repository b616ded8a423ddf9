"""EC2's instance types: what each has, and what a node of EKS leaves of it to pods.

instance_types.json is EC2's own list, as moto ships it; `make instance-types` writes it
again (record_instances.py). A type that it lacks is unknown: nothing is judged by it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("instance_types.json")
_RESERVED = (60, 10, 5, 5)  # thousandths of the first cores; of each further one 2.5
_MIB = 1 << 20
_GIB = 1 << 30
CPU, MEMORY, DISK, PODS, GPUS = "CPU", "memory", "local disk", "pods", "GPUs"
"""What a node has, and a pod takes: cores, bytes, bytes, pods and GPUs."""


@dataclass(frozen=True, slots=True)
class InstanceType:
    """An EC2 instance type.

    Attributes:
        cpus: virtual CPUs.
        memory: MiB.
        gpus: GPUs, or parts of one that the type has for itself (g6f).
        gpu_maker: who made them; empty without any.
        architecture: as Kubernetes names it.
        interfaces: network interfaces at most.
        addresses: IPv4 addresses of each of them.
    """

    name: str
    cpus: int
    memory: int
    gpus: int
    gpu_maker: str
    architecture: str
    interfaces: int
    addresses: int

    @property
    def runs_cuda(self) -> bool:
        """Whether it has GPUs that NVIDIA's device plugin and the serving image (amd64) can use."""
        return self.gpu_maker == "NVIDIA" and self.architecture == "amd64"

    def pods(self, *, by_prefix: bool = False) -> int:
        """How many pods a node takes: what the network plugin has addresses for.

        Args:
            by_prefix: whether the plugin gives interfaces prefixes of 16 addresses.

        https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html
        """
        addresses = (self.addresses - 1) * (16 if by_prefix else 1)
        return min(self.interfaces * addresses + 2, 110 if self.cpus < 30 else 250)

    def allocatable(self, disk: int, pods: int) -> dict[str, Fraction]:
        """What a node leaves to pods.

        Args:
            disk: GiB of its volume.
            pods: how many pods it takes.

        The reservations and eviction margins are nodeadm's, the same for Bottlerocket:
        https://github.com/awslabs/amazon-eks-ami/blob/main/nodeadm/internal/kubelet/config.go
        The firmware and the kernel keep some memory too: 5 % of the first 16 GiB and 2.5 % of the
        rest is a little less than what nodes of 8 to 128 GiB report as missing from their size.
        """
        reserved = sum(_RESERVED[: self.cpus]) + Fraction(5, 2) * max(0, self.cpus - len(_RESERVED))
        kernel = (self.memory + min(self.memory, 16 << 10)) * Fraction(25, 1000)
        memory = self.memory - kernel - (255 + 11 * self.pods()) - 100
        return {
            CPU: self.cpus - reserved / 1000,
            MEMORY: memory * _MIB,
            DISK: (disk * Fraction(9, 10) - 1) * _GIB,
            PODS: Fraction(pods),
            GPUS: Fraction(self.gpus if self.runs_cuda else 0),
        }


@cache
def _table() -> dict[str, list[object]]:
    rows: dict[str, list[object]] = json.loads(TABLE.read_bytes())
    return rows


@cache
def find(name: str) -> InstanceType | None:
    """The instance type of that name; None for one that is not known here."""
    row = _table().get(name)
    return InstanceType(name, *row) if row else None  # type: ignore[arg-type]


def names() -> list[str]:
    """Every instance type that is known."""
    return list(_table())


def larger(instance: InstanceType) -> Iterator[InstanceType]:
    """The other sizes of a type's family that have more memory, the smallest first."""
    family = instance.name.partition(".")[0]
    sizes = (find(name) for name in _table() if name.partition(".")[0] == family)
    known = [each for each in sizes if each and "metal" not in each.name]
    yield from sorted(
        (each for each in known if each.memory > instance.memory),
        key=lambda each: (each.memory, each.cpus),
    )
