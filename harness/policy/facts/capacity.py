"""Whether the pods of an environment find room on its nodes: a simple, optimistic scheduler.

It places the largest pods first, each on the fullest node that takes it. What it cannot place, the
real one will hardly place; what it can, the real one may still spread badly.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from harness.core.values import Value, items, mapping, text
from harness.policy.facts import eks
from harness.policy.facts.demand import Demand, Needs, demands
from harness.policy.facts.graph import chart
from harness.policy.facts.pods import pods
from harness.policy.recorded.instances import GPUS, MEMORY, InstanceType, larger
from harness.render.rendered import Environment


@dataclass
class _Node:
    """A node of a group, and what is free on it."""

    group: eks.NodeGroup
    free: dict[str, Fraction]

    def has(self, needs: Needs) -> bool:
        return not _lacking(needs, self.free)

    def take(self, needs: Needs) -> None:
        for name, amount in needs.items():
            self.free[name] -= amount


@dataclass(frozen=True)
class Shortage:
    """Pods that find no room.

    Attributes:
        waiting: how many of them.
        lacking: the resources that are short.
        group: the node group that has most of what they need.
        room: what an empty node of it leaves them, daemons taken off.
        fits_alone: whether an empty node would hold one of them.
        requested: what all the pods together ask that may be on these nodes.
        has: what those nodes have for them.
    """

    demand: Demand
    waiting: int
    lacking: tuple[str, ...]
    group: eks.NodeGroup
    room: Needs
    fits_alone: bool
    requested: Needs
    has: Needs


def shortages(cluster: eks.Cluster) -> list[Shortage]:
    """The pods that find no room when everything runs and rolls out at once.

    Pods that may be on nodes of an unknown type are left out, and those that no group holds: other
    rules say so.
    """
    key = f"shortages of {cluster.environment}"
    return cluster.project.remember(key, lambda: list(_shortages(cluster)))


def _shortages(cluster: eks.Cluster) -> Iterator[Shortage]:
    asking = demands(cluster)
    daemons = [each for each in asking if each.every_node]
    rooms = {group.name: _room(group, daemons) for group in cluster.groups if _is_judged(group)}
    nodes = [
        _Node(group, dict(rooms[group.name]))
        for group in cluster.groups
        if group.name in rooms
        for _ in range(node_count(cluster.environment, group))
    ]
    judged = [each for each in asking if not each.every_node and _may_wait(cluster, each)]
    judged.sort(key=lambda each: (each.needs.get(GPUS, 0), each.needs[MEMORY]), reverse=True)
    everywhere = [
        (
            each,
            {
                group.name
                for group in cluster.groups
                if group.name in rooms and group.holds(each.spec)
            },
        )
        for each in judged
    ]
    for demand, names in everywhere:
        waiting = demand.count
        while waiting > 0 and _place(demand, names, nodes):
            waiting -= 1
        if waiting > 0 and names and not made_to_order(cluster.environment, demand.spec):
            groups = [group for group in cluster.groups if group.name in names]
            yield _shortage(demand, waiting, groups, rooms, nodes, everywhere)


def _shortage(
    demand: Demand,
    waiting: int,
    groups: list[eks.NodeGroup],
    rooms: Mapping[str, Needs],
    nodes: list[_Node],
    everywhere: list[tuple[Demand, set[str]]],
) -> Shortage:
    group = min(groups, key=lambda each: len(_lacking(demand.needs, rooms[each.name])))
    alone = _lacking(demand.needs, rooms[group.name])
    group_nodes = [node for node in nodes if node.group.name == group.name]
    sharing = [each for each, names in everywhere if group.name in names]
    names = demand.needs.keys()
    requested = {
        name: sum((each.count * each.needs.get(name, Fraction(0)) for each in sharing), Fraction(0))
        for name in names
    }
    has = {name: rooms[group.name][name] * len(group_nodes) for name in names}
    # What is left lies in pieces: short is what no single node has enough of.
    short = {name for node in group_nodes for name in _lacking(demand.needs, node.free)}
    total = tuple(name for name in names if requested[name] > has[name]) or tuple(sorted(short))
    return Shortage(
        demand, waiting, alone or total, group, rooms[group.name], not alone, requested, has
    )


def _lacking(needs: Needs, room: Needs) -> tuple[str, ...]:
    # Who takes nothing of a resource does not miss it, however little of it there is.
    return tuple(name for name, amount in needs.items() if amount > max(Fraction(0), room[name]))


def _is_judged(group: eks.NodeGroup) -> bool:
    """Whether it is known what its nodes have; one whose GPUs cannot be used is said elsewhere."""
    usable = all(each.runs_cuda for each in group.types)
    return group.is_known and (usable or not group.is_for_gpus)


def _may_wait(cluster: eks.Cluster, demand: Demand) -> bool:
    """Whether all nodes that may hold these pods are known."""
    return all(_is_judged(group) for group in cluster.groups if group.holds(demand.spec))


def _room(group: eks.NodeGroup, daemons: list[Demand]) -> dict[str, Fraction]:
    """What an empty node has when the daemons run on it."""
    room = dict(group.room)
    for daemon in daemons:
        if group.holds(daemon.spec):
            for name, amount in daemon.needs.items():
                room[name] -= amount
    return room


def _place(demand: Demand, names: set[str], nodes: list[_Node]) -> bool:
    """Whether one more of these pods finds room; the node's is taken then."""
    fit = [each for each in nodes if each.group.name in names and each.has(demand.needs)]
    if fit:
        min(fit, key=lambda node: (node.free[GPUS], node.free[MEMORY])).take(demand.needs)
    return bool(fit)


def suitable(shortage: Shortage) -> InstanceType | None:
    """The smallest larger size of the group's instance type on which one of the pods fits."""
    types = shortage.group.types
    if not types:
        return None
    taken = {name: shortage.group.room[name] - shortage.room[name] for name in shortage.room}
    for each in larger(types[0]):
        room = each.allocatable(shortage.group.disk, each.pods())
        needs = shortage.demand.needs
        if not _lacking(needs, {name: room[name] - taken[name] for name in room}):
            return each
    return None


def node_count(environment: Environment, group: eks.NodeGroup) -> int:
    """How many nodes a group has: up to maxSize, where the cluster autoscaler grows it."""
    charts = map(chart, environment.of("HelmRelease"))
    images = (text(each.value, "image") for pod in pods(environment) for each in pod.containers)
    grows = any("cluster-autoscaler" in each for each in (*charts, *images))
    return group.most if grows else group.nodes


def made_to_order(environment: Environment, spec: Value) -> bool:
    """Whether a NodePool (of Karpenter, or of EKS Auto Mode) makes nodes that hold such a pod."""
    for pool in environment.of("NodePool"):
        template = mapping(pool.value, "spec", "template")
        labels = mapping(template, "metadata", "labels")
        keeps_off = items(template, "spec", "taints")
        if mapping(spec, "nodeSelector").items() <= labels.items() and all(
            any(eks.tolerates(entry, taint) for entry in items(spec, "tolerations"))
            for taint in keeps_off
        ):
            return True
    return False
