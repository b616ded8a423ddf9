"""Pods that find no GPU get nodes, and nodes without pods go: the real Karpenter and scheduler.

Nodes are kwok's, by Karpenter's own provider for them (simulated); what makes them on EC2, the
EC2NodeClass, is held against its schema alone.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, text
from harness.kubernetes import kinds
from harness.local_cluster import local
from harness.local_cluster.local import LocalCluster
from tests.e2e.timeline import Timeline
from tests.support import karpenter
from tests.support.processes import eventually

pytestmark = [pytest.mark.load, pytest.mark.timeout(1200)]

_NAMESPACE, _NAME = "default", "servers"
_STATIC = 3  # GPUs of production's own nodes
_LIMIT = 2  # GPUs beside them: the NodePool's
_REACTION = 180.0  # seconds, on a busy machine
_DRIVER = "efs.csi.aws.com/agent-not-ready"
_EMPTY = 20  # seconds that a node may be empty; ten minutes in the component


@dataclass
class Servers:
    """Pods with a GPU each, as the chart places them."""

    cluster: LocalCluster

    def scale(self, number: int) -> None:
        self.cluster.api.patch(kinds.DEPLOYMENT, _NAME, {"spec": {"replicas": number}}, _NAMESPACE)

    def nodes(self) -> list[str]:
        """Where each pod that runs is."""
        pods = self.cluster.api.list_all(kinds.POD, _NAMESPACE)
        return [
            text(each, "spec", "nodeName")
            for each in pods
            if text(each, "status", "phase") == "Running"
            and not dig(each, "metadata", "deletionTimestamp")
        ]

    def new_nodes(self) -> list[Value]:
        """The nodes that Karpenter made."""
        return self.cluster.api.list_all(kinds.NODE, labels="karpenter.sh/nodepool=gpu")

    def let_mount(self) -> bool:
        """The part of the driver of EFS: it takes its taint from nodes on which it can mount.

        Returns whether every node is without it.
        """
        waiting = [node for node in self.new_nodes() if _DRIVER in _taints(node)]
        for node in waiting:
            rest = [each for each in items(node, "spec", "taints") if text(each, "key") != _DRIVER]
            name = text(node, "metadata", "name")
            self.cluster.api.patch(kinds.NODE, name, {"spec": {"taints": rest}})
        return not waiting


@pytest.fixture(scope="module")
def servers(checkout: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if not tools.at_hand(checkout, "karpenter"):
        pytest.skip("not built: `harness tools karpenter`")
    folder = tmp_path_factory.mktemp("karpenter")
    with (
        local.running(checkout, "karpenter", "production", with_flux=False) as cluster,
        karpenter.running(checkout, cluster, folder, consolidateAfter=f"{_EMPTY}s"),
    ):
        cluster.api.wait_for(
            kinds.SERVICE_ACCOUNT, bool, namespace=_NAMESPACE, seconds=60, what="an account"
        )
        cluster.api.apply(_deployment())
        yield Servers(cluster)


def test_free_gpus_of_the_static_group_come_first(servers: Servers) -> None:
    servers.scale(_STATIC)
    eventually(lambda: len(servers.nodes()) == _STATIC, _REACTION)
    assert not servers.new_nodes()


def test_pods_without_a_gpu_make_nodes_up_to_the_limit(
    servers: Servers, timeline: Timeline
) -> None:
    servers.scale(_STATIC + _LIMIT + 1)
    with timeline.step("pods without a GPU → nodes for them"):
        eventually(lambda: len(servers.new_nodes()) == _LIMIT, _REACTION)
    taints = {"nvidia.com/gpu", _DRIVER}  # once it is registered
    eventually(lambda: all(taints <= _taints(node) for node in servers.new_nodes()), _REACTION)
    assert len(servers.nodes()) == _STATIC, "before the driver is there nothing can be mounted"
    with timeline.step("the driver of EFS is there → they run"):
        eventually(lambda: servers.let_mount() and len(servers.nodes()) == _STATIC + _LIMIT)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        assert len(servers.new_nodes()) == _LIMIT, "the limit is a bill"
        time.sleep(1)


def test_a_node_with_a_pod_stays_and_an_empty_one_goes(
    servers: Servers, timeline: Timeline
) -> None:
    servers.scale(_STATIC + _LIMIT)
    eventually(lambda: len(servers.nodes()) == _STATIC + _LIMIT, _REACTION)
    until = time.monotonic() + _EMPTY + 15
    while time.monotonic() < until:
        assert len(servers.new_nodes()) == _LIMIT, "a pod that loads would begin again"
        time.sleep(1)
    servers.scale(0)
    with timeline.step("no pods → no nodes but the static ones"):
        eventually(lambda: not servers.new_nodes(), _REACTION)


def _taints(node: Value) -> set[str]:
    return {text(each, "key") for each in items(node, "spec", "taints")}


def _deployment() -> Value:
    labels = {"app": _NAME}
    gpu = {"nvidia.com/gpu": "1"}
    tolerations = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": _NAME, "namespace": _NAMESPACE},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeSelector": {"nvidia.com/gpu.present": "true"},
                    "tolerations": tolerations,
                    "containers": [
                        {
                            "name": "server",
                            "image": "none",
                            "resources": {
                                "requests": {"cpu": "3", "memory": "12Gi", **gpu},
                                "limits": gpu,
                            },
                        }
                    ],
                },
            },
        },
    }
