"""Fake nodes as an environment's eksctl.yaml describes its node groups."""

import re
from collections.abc import Iterator
from pathlib import Path

from harness.core import yamlfile
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, text
from harness.policy import eks

_LOCAL: Value = {  # an environment without eksctl.yaml: this machine, seen as three plain nodes
    "availabilityZones": ["local1a", "local1b", "local1c"],
    "managedNodeGroups": [{"name": "local", "instanceType": "m7i.xlarge", "desiredCapacity": 3}],
}
_GIB_PER_CPU = {"c": 2, "m": 4, "g": 4, "r": 8}
# What the EKS AMI keeps for itself on these sizes: nodeadm's reservations and the eviction margin.
_RESERVED_CPU, _RESERVED_MIB = 80, 1_200
_READY_TAINT = "agent-not-ready"  # a driver takes it away when it can mount; fakes mount nothing


def of(repository: Repository, env: str) -> list[Value]:
    """The nodes that the environment would have at its desired capacity.

    Raises:
        InputError: an instance type whose size is not known from its name.
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
    """Capacity and allocatable; sizes double from ``large`` (2 vCPU) on, memory goes with them."""
    match = re.fullmatch(r"([a-z])[a-z0-9-]*\.(?:(\d*)x)?large", instance)
    if not match or match[1] not in _GIB_PER_CPU:
        raise InputError(
            f"{instance}: its CPU and memory are not known here",
            at=path,
            hint="add its family to harness/local_cluster/nodes.py",
        )
    cpu = 2 if match[2] is None else 4 * int(match[2] or 1)
    mib = cpu * _GIB_PER_CPU[match[1]] * 1024
    shared = {"ephemeral-storage": "80Gi", "pods": "58"}
    if gpus := eks.gpus(instance):
        shared["nvidia.com/gpu"] = str(gpus)
    return (
        {**shared, "cpu": str(cpu), "memory": f"{mib}Mi"},
        {**shared, "cpu": f"{cpu * 1000 - _RESERVED_CPU}m", "memory": f"{mib - _RESERVED_MIB}Mi"},
    )
