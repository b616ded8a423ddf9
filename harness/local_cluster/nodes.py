"""Fake nodes as an environment's eksctl.yaml describes its node groups."""

import math
from collections.abc import Iterator
from pathlib import Path

from harness.core import yamlfile
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.core.suggest import did_you_mean
from harness.core.values import Value, items, mapping, text
from harness.policy.recorded import instances
from harness.policy.recorded.instances import CPU, MEMORY, names

_LOCAL: Value = {  # an environment without eksctl.yaml: this machine, seen as three plain nodes
    "availabilityZones": ["local1a", "local1b", "local1c"],
    "managedNodeGroups": [{"name": "local", "instanceType": "m7i.xlarge", "desiredCapacity": 3}],
}
_VOLUME = 80  # GiB of each node's disk: eksctl's default
_READY_TAINT = "agent-not-ready"  # a driver takes it away when it can mount; fakes mount nothing


def of(repository: Repository, env: str) -> list[Value]:
    """The nodes that the environment would have at its desired capacity.

    Raises:
        InputError: an instance type that is not known.
    """
    path = repository.cluster(env) / "eksctl.yaml"
    described = yamlfile.parse(yamlfile.read_text(path), path)[0].value if path.exists() else _LOCAL
    return list(_nodes(described, path))


def _nodes(described: object, path: Path) -> Iterator[Value]:
    zones = [str(zone) for zone in items(described, "availabilityZones")]
    for group in items(described, "managedNodeGroups"):
        count = mapping(group).get("desiredCapacity")
        for number in range(count if isinstance(count, int) else 1):
            yield _node(group, number, zones[number % len(zones)], path)


def _node(group: object, number: int, zone: str, path: Path) -> Value:
    name, instance = text(group, "name"), text(group, "instanceType")
    taints = [
        taint for taint in items(group, "taints") if not text(taint, "key").endswith(_READY_TAINT)
    ]
    capacity, allocatable = _resources(instance, path)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": f"{name}-{number}",
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": f"{name}-{number}",
                "kubernetes.io/os": "linux",
                "eks.amazonaws.com/nodegroup": name,
                "node.kubernetes.io/instance-type": instance,
                "topology.kubernetes.io/region": zone[:-1],
                "topology.kubernetes.io/zone": zone,
                **mapping(group, "labels"),
            },
        },
        "spec": {"taints": taints},
        "status": {"capacity": capacity, "allocatable": allocatable},
    }


def _resources(instance: str, path: Path) -> tuple[Value, Value]:
    """Capacity and allocatable of a node with the default volume."""
    known = instances.find(instance)
    if not known:
        raise InputError(
            f"{instance}: its CPU and memory are not known here{did_you_mean(instance, names())}",
            at=path,
            hint="`make instance-types` records what EC2 says of its types",
        )
    room = known.allocatable(_VOLUME, known.pods())
    shared: dict[str, object] = {
        "ephemeral-storage": f"{_VOLUME}Gi",
        "pods": str(known.pods()),
        **({"nvidia.com/gpu": str(known.gpus)} if known.runs_cuda else {}),
    }
    return (
        {**shared, "cpu": str(known.cpus), "memory": f"{known.memory}Mi"},
        {
            **shared,
            "cpu": f"{math.floor(room[CPU] * 1000)}m",
            "memory": f"{math.floor(room[MEMORY] / (1 << 20))}Mi",
        },
    )
