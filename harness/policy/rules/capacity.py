"""Capacity: every pod finds a node with room, as many nodes as there really are."""

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction

from harness.core.problem import Problem
from harness.core.suggest import did_you_mean
from harness.policy import eks, instances
from harness.policy.capacity import Shortage, node_count, shortages, suitable
from harness.policy.demand import demands, request
from harness.policy.finding import Severity
from harness.policy.instances import CPU, DISK, GPUS, MEMORY, PODS
from harness.policy.pods import Pod
from harness.policy.project import Project
from harness.policy.rule import problem, rule
from harness.policy.scale import number_of_pods
from harness.policy.serving import servers

_KEYS = {CPU: "cpu", MEMORY: "memory", DISK: "ephemeral-storage"}
_MEBI, _GIBI = 1 << 20, 1 << 30


@rule(
    "capacity/known-type",
    why="what a node of an unknown instance type has is not guessed: whether pods fit on it was "
    "not checked",
    fix="correct the name; for a type that AWS has added since, `make instance-types` records what "
    "EC2 says of it",
    severity=Severity.WARNING,
)
def known_type(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        for group in cluster.groups:
            for path, name in group.instances.items():
                if name and not instances.find(name):
                    hint = did_you_mean(name, instances.names())
                    yield group.problem(f"instance type {name} is not known here{hint}", *path)


@rule(
    "capacity/pod-fits-node",
    why="a pod that asks for more than an empty node has left is Pending forever: the upgrade "
    "waits until it times out, and is rolled back",
    fix="ask for less, or choose a larger instance type (of local disk: a larger volumeSize) in "
    "clusters/<env>/eksctl.yaml",
)
def pod_fits_node(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        undecided = _of_unclear_kind(cluster)
        for short in shortages(cluster):
            subject = short.demand.pod
            if (
                subject
                and not short.fits_alone
                and GPUS not in short.lacking
                and short.demand.name not in undecided
            ):
                yield _too_large(subject, short)


def _of_unclear_kind(cluster: eks.Cluster) -> set[str]:
    """The servers of which it is not clear whether they run on GPUs: gpu/number-of-gpu says so."""
    return {
        str(server.pod.owner)
        for server in servers(cluster.environment)
        if not server.pod.gpus and server.setting("number_of_gpu") not in ("", "0")
    }


def _too_large(subject: Pod, short: Shortage) -> Problem:
    """One problem for a pod: at what it asks for, or at the nodes where nobody chose that."""
    asks = " and ".join(amount(each, short.demand.needs[each]) for each in short.lacking)
    left = " and ".join(amount(each, short.room[each]) for each in short.lacking)
    larger = suitable(short)
    types = " or ".join(short.group.instances.values())
    message = (
        f"asks for {asks}, a node of group {short.group.name} ({types}) has {left} left after "
        f"the system and daemons{f'; {larger.name} would hold it' if larger else ''}"
    )
    key = _KEYS.get(short.lacking[0], "cpu")
    largest = max(subject.containers, key=lambda each: request(each, key))
    kind = "requests" if largest.dig("resources", "requests", key) is not None else "limits"
    asking = largest.problem(message, "resources", kind, key)
    of_the_chart = {chart.chart for _, chart in short.group.cluster.environment.charts}
    if any(asking.location.path.is_relative_to(folder) for folder in of_the_chart):
        nodes = next(iter(short.group.instances))
        where = ("volumeSize",) if short.lacking == (DISK,) else nodes
        type_name = larger.name if larger and where == ("instanceType",) else None
        return short.group.problem(f"{subject.owner} {message}", *where, to=type_name)
    return asking


@rule(
    "capacity/nodes-hold-pods",
    why="what finds no room waits: Flux, the gateway or DNS may be what does not start",
    fix="raise desiredCapacity of the node group, choose a larger instanceType, or run less on it",
)
def nodes_hold_pods(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        of_groups: dict[str, list[Shortage]] = {}
        for short in shortages(cluster):
            if GPUS in short.lacking or (short.demand.pod and not short.fits_alone):
                continue  # gpu/rollout-fits, capacity/pod-fits-node
            of_groups.setdefault(short.group.name, []).append(short)
        for shorts in of_groups.values():
            yield _full(shorts)


@rule(
    "capacity/drains-end",
    why="of pods that a budget guards one goes when their node is drained and waits for another "
    "node; the next is not let go before that, so the drain never ends",
    fix="two nodes at least: minSize and desiredCapacity 2 in clusters/<env>/eksctl.yaml",
)
def drains_end(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        guarded = [each for each in demands(cluster) if each.guarded and each.count > 1]
        full = {short.group.name for short in shortages(cluster)}  # capacity/nodes-hold-pods
        groups = list(cluster.groups)
        for group in groups:
            stuck = [
                each.name
                for each in guarded
                if [other.name for other in groups if other.holds(each.spec)] == [group.name]
            ]
            if stuck and group.name not in full and node_count(cluster.environment, group) == 1:
                message = (
                    f"pods of {' and '.join(stuck)} can go nowhere when its one node is drained"
                )
                sizes = {"minSize": 2, "desiredCapacity": 2, "maxSize": max(2, group.most)}
                stuck_there = group.problem(message, "desiredCapacity")
                yield dataclasses.replace(stuck_there, fix=group.set(**sizes))


def _full(shorts: list[Shortage]) -> Problem:
    """One problem for a node group that is too small: a replica too many, or the nodes."""
    first = shorts[0]
    resource = first.lacking[0] if first.lacking else PODS
    waiting = sum(each.waiting for each in shorts)
    message = (
        f"{waiting} pod{'s' if waiting != 1 else ''} find no room ({first.demand.name}"
        f"{' and others' if len(shorts) > 1 else ''}): all ask for "
        f"{amount(resource, first.requested[resource])}, {first.group.describe()} has "
        f"{amount(resource, first.has[resource])} after the system and daemons"
    )
    if len(shorts) == 1 and first.demand.pod:
        owner = first.demand.pod.owner
        return problem(owner, message, *number_of_pods(owner))
    one = node_count(first.group.cluster.environment, first.group) == 1
    where = ("desiredCapacity",) if one else next(iter(first.group.instances))
    return first.group.problem(message, *where)


def amount(resource: str, size: Fraction) -> str:
    """An amount of a resource, for people; what a node has is rounded down."""
    if resource in (MEMORY, DISK):
        if size < _GIBI:
            return f"{max(0, math.floor(size / _MEBI))}Mi of {resource}"
        return f"{math.floor(size / _GIBI * 10) / 10:g}Gi of {resource}"
    if resource == CPU:
        return f"{math.floor(size * 1000) / 1000:g} CPU{'s' if size > 1 else ''}"
    return f"{math.floor(size)} {resource}"
