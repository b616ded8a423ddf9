"""Karpenter's NodePools: a bill with an end, and nodes that wait for their driver and keep pods."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import items, mapping, text
from harness.policy.facts import eks
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_GROUP = "karpenter.sh"
_GPU = "nvidia.com/gpu"
_TEMPLATE = ("spec", "template", "spec")
_PRESENT = "nvidia.com/gpu.present"


def _gpu_pools(environment: Environment) -> Iterator[Object]:
    """The NodePools whose nodes the servers of the chart select."""
    for each in environment.of("NodePool"):
        if each.group == _GROUP and _PRESENT in mapping(
            each.value, "spec", "template", "metadata", "labels"
        ):
            yield each


@rule(
    "nodes/pool-limit",
    why="a NodePool makes a node for every pod that finds none: without a limit a mistake in a "
    "number of pods is a bill",
    fix='limits of the NodePool: nvidia.com/gpu: "N", in addition to the GPUs of the static group',
)
def pool_limit(environment: Environment) -> Iterator[Problem]:
    for each in _gpu_pools(environment):
        if _GPU not in mapping(each.value, "spec", "limits"):
            yield problem(each, "makes as many nodes with GPUs as pods ask for", "spec", "limits")


@rule(
    "nodes/pool-keeps-pods",
    why="a pod that loads may be evicted, since its budget lets pods go that are not ready: a node "
    "that is taken for being little used, or for its age, makes it begin again on the next one",
    fix="disruption.consolidationPolicy: WhenEmpty, and template.spec.expireAfter: Never",
)
def pool_keeps_pods(environment: Environment) -> Iterator[Problem]:
    for each in _gpu_pools(environment):
        disruption = mapping(each.value, "spec", "disruption")
        if text(disruption, "consolidationPolicy") != "WhenEmpty":
            policy = ("spec", "disruption", "consolidationPolicy")
            yield problem(each, "takes nodes that have pods", *policy, to="WhenEmpty")
        if text(mapping(each.value, *_TEMPLATE), "expireAfter") != "Never":
            message = "ends nodes by their age, pods and all"
            yield problem(each, message, *_TEMPLATE, "expireAfter", to="Never")


@rule(
    "nodes/pool-taints",
    why="without the GPU's taint pods that need none fill its nodes; a server that comes before "
    "the driver of EFS cannot mount the model store",
    fix="taints of the NodePool: nvidia.com/gpu, NoSchedule; startupTaints: "
    "efs.csi.aws.com/agent-not-ready, NoExecute, which the driver takes away",
)
def pool_taints(environment: Environment) -> Iterator[Problem]:
    for each in _gpu_pools(environment):
        template = mapping(each.value, *_TEMPLATE)
        for key, taint in (("taints", _GPU), ("startupTaints", eks.EFS_READY)):
            if taint not in {text(one, "key") for one in items(template, key)}:
                yield problem(each, f"its nodes have no taint {taint}", *_TEMPLATE, key)
