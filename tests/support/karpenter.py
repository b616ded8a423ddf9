"""Karpenter at the API server of a local cluster, with its provider whose nodes are kwok's.

    with karpenter.running(checkout, cluster, folder):
        ...  # pods that find no room get nodes; nodes without pods go

The NodePool is infra/karpenter's, but for the class of its nodes: an EC2NodeClass asks AWS.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, merge, text
from harness.kubernetes.api import Kind
from harness.local_cluster import install
from harness.local_cluster.local import LocalCluster
from harness.policy.recorded import instances
from tests.support import go_module, prometheus
from tests.support.processes import free_ports

NODE_POOL = Kind("karpenter.sh/v1", "NodePool")
NODE_CLAIM = Kind("karpenter.sh/v1", "NodeClaim")
_CLASS = {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "gpu"}
_CRDS = ("pkg/apis/crds", "kwok/apis/crds")
_ZONES = ("us-west-2a", "us-west-2b", "us-west-2c")
_VOLUME = 100  # GiB
_SECONDS = 60.0


@contextlib.contextmanager
def running(
    repository: Repository, cluster: LocalCluster, folder: Path, **disruption: object
) -> Iterator[None]:
    """Karpenter as the cluster's administrator, and the component's NodePool.

    ``disruption`` replaces keys of the NodePool's own.
    """
    kinds = go_module.definitions(repository, "karpenter", *_CRDS)
    install.install(cluster.api, list(kinds), seconds=_SECONDS)
    pool = node_pool(repository)
    types = folder / "instance_types.json"
    types.write_text(json.dumps(list(_types(pool))))
    metrics, health = free_ports(2)
    env = {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig),
        "SYSTEM_NAMESPACE": "kube-system",
        "METRICS_PORT": str(metrics),
        "HEALTH_PROBE_PORT": str(health),
        "DISABLE_LEADER_ELECTION": "true",
        "INSTANCE_TYPES_FILE_PATH": str(types),
    }
    argv: list[str | Path] = [tools.find(repository, "karpenter")]
    with prometheus.program(argv, folder / "karpenter.log", folder, env):
        cluster.api.apply(
            {
                "apiVersion": "karpenter.kwok.sh/v1alpha1",
                "kind": _CLASS["kind"],
                "metadata": {"name": _CLASS["name"]},
            }
        )
        own_class: Value = {"spec": {"template": {"spec": {"nodeClassRef": _CLASS}}}}
        changes = merge(own_class, {"spec": {"disruption": disruption}})
        cluster.api.apply(merge(pool, changes))
        yield


def node_pool(repository: Repository) -> Value:
    """The component's NodePool."""
    path = repository.root / "infra/karpenter/configs/nodepool.yaml"
    return mapping(yaml.safe_load(path.read_text()))


def _types(pool: Value) -> Iterator[Mapping[str, object]]:
    """The pool's instance types, as the provider reads them: room, zones, a price of one each."""
    requirements = items(pool, "spec", "template", "spec", "requirements")
    names = next(
        items(each, "values")
        for each in requirements
        if text(each, "key") == "node.kubernetes.io/instance-type"
    )
    for name in map(str, names):
        known = instances.find(name)
        assert known is not None, name
        offerings = [
            {
                "Price": 1.0,
                "Available": True,
                "Requirements": [
                    {"key": key, "operator": "In", "values": [value]}
                    for key, value in (
                        ("karpenter.sh/capacity-type", "on-demand"),
                        ("topology.kubernetes.io/zone", zone),
                    )
                ],
            }
            for zone in _ZONES
        ]
        yield {
            "name": name,
            "offerings": offerings,
            "architecture": "amd64",
            "operatingSystems": ["linux"],
            "resources": {
                "cpu": str(known.cpus),
                "memory": f"{known.memory}Mi",
                "ephemeral-storage": f"{_VOLUME}Gi",
                "pods": str(known.pods()),
                "nvidia.com/gpu": str(known.gpus),
            },
        }
