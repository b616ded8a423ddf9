"""Capacity: every pod finds a node with room, as many nodes as there really are."""

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction

from harness.core.problem import Location, Problem
from harness.core.suggest import did_you_mean
from harness.core.values import KeyPath
from harness.policy.facts import eks
from harness.policy.facts.capacity import Shortage, node_count, shortages, suitable
from harness.policy.facts.demand import NAMES, demands, request
from harness.policy.facts.scale import counted_at
from harness.policy.facts.serving import servers
from harness.policy.finding import Severity
from harness.policy.project import Project
from harness.policy.recorded import instances
from harness.policy.recorded.instances import CPU, DISK, GPUS, MEMORY, PODS, InstanceType
from harness.policy.rule import problem, rule

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
        reported: set[Location] = set()  # several pods may miss the same of a group
        for short in shortages(cluster):
            if (
                not short.fits_alone
                and not {GPUS, PODS} & {*short.lacking}
                and short.demand.name not in undecided
            ):
                too_large = _too_large(short)
                if too_large.location not in reported:
                    reported.add(too_large.location)
                    yield too_large


def _of_unclear_kind(cluster: eks.Cluster) -> set[str]:
    """The servers of which it is not clear whether they run on GPUs: gpu/number-of-gpu says so."""
    return {
        str(server.pod.owner)
        for server in servers(cluster.environment)
        if not server.pod.gpus and server.setting("number_of_gpu") not in ("", "0")
    }


def _too_large(short: Shortage) -> Problem:
    """One problem for a pod: at what it asks for, or at the nodes where nobody chose that."""
    subject = short.demand.pod
    asks = " and ".join(amount(each, short.demand.needs[each]) for each in short.lacking)
    left = " and ".join(amount(each, short.room[each]) for each in short.lacking)
    larger = suitable(short)
    types = " or ".join(short.group.instances.values())
    message = (
        f"asks for {asks}, a node of group {short.group.name} ({types}) has {left} left after "
        f"the system and daemons{f'; {larger.name} would hold it' if larger else ''}"
    )
    key = NAMES.get(short.lacking[0], "cpu")
    if not subject:
        return _at_values(short, message, key) or _at_nodes(short, message, larger)
    largest = max(subject.containers, key=lambda each: request(each, key))
    kind = "requests" if largest.dig("resources", "requests", key) is not None else "limits"
    asking = largest.problem(message, "resources", kind, key)
    if short.group.cluster.environment.is_of_chart(asking.location):
        return _at_nodes(short, message, larger)
    return asking


def _at_nodes(short: Shortage, message: str, larger: InstanceType | None) -> Problem:
    where = _size_path(short, short.lacking[0] if len(short.lacking) == 1 else "")
    type_name = larger.name if larger and where == ("instanceType",) else None
    return short.group.problem(f"a pod of {short.demand.name} {message}", *where, to=type_name)


def _size_path(short: Shortage, resource: str) -> KeyPath:
    """What decides in eksctl.yaml how much of a resource the nodes of a group have."""
    if resource == DISK:
        return ("volumeSize",)
    if resource == PODS and "maxPodsPerNode" in short.group.value:
        return ("maxPodsPerNode",)
    one = node_count(short.group.cluster.environment, short.group) == 1
    return ("desiredCapacity",) if one and short.fits_alone else next(iter(short.group.instances))


def _at_values(short: Shortage, message: str, key: str) -> Problem | None:
    """A problem of a request that is written for pods which something else makes."""
    if not short.demand.written:
        return None
    owner, _, path = short.demand.written
    if owner.dig(*path, key) is None:
        return None
    return problem(owner, f"a pod of {short.demand.name} {message}", *path, key)


@rule(
    "capacity/nodes-hold-pods",
    why="what finds no room waits: Flux, the gateway or DNS may be what does not start",
    fix="raise desiredCapacity of the node group, choose a larger instanceType, or run less on it",
)
def nodes_hold_pods(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        of_groups: dict[str, list[Shortage]] = {}
        for short in shortages(cluster):
            if GPUS in short.lacking or not (short.fits_alone or PODS in short.lacking):
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
    """One problem for a node group that is too small: at who takes most of it, or at its nodes."""
    first = shorts[0]
    resource = first.lacking[0] if first.lacking else PODS
    waiting = sum(each.waiting for each in shorts)
    message = (
        f"{waiting} pod{'s find' if waiting != 1 else ' finds'} no room ({first.demand.name}"
        f"{' and others' if len(shorts) > 1 else ''}): all ask for "
        f"{amount(resource, first.requested[resource])}, {first.group.describe()}, has "
        f"{amount(resource, first.has[resource])} after the system and daemons"
    )
    if len(shorts) == 1 and first.demand.pod:
        environment = first.group.cluster.environment
        owner = first.demand.pod.owner
        return Problem(message, counted_at(environment, owner), str(owner))
    for each in demands(first.group.cluster):
        taken = each.count * each.needs.get(resource, Fraction(0))
        if each.written and first.group.holds(each.spec) and taken > first.has[resource] / 2:
            owner, count, requests = each.written
            asks = (*requests, NAMES.get(resource, "cpu"))
            many = each.count > node_count(first.group.cluster.environment, first.group)
            return problem(owner, message, *(count if many or owner.dig(*asks) is None else asks))
    return first.group.problem(message, *_size_path(first, resource))


def amount(resource: str, size: Fraction) -> str:
    """An amount of a resource, for people; what a node has is rounded down."""
    if resource in (MEMORY, DISK):
        if size < _GIBI:
            return f"{max(0, math.floor(size / _MEBI))}Mi of {resource}"
        return f"{math.floor(size / _GIBI * 10) / 10:g}Gi of {resource}"
    if resource == CPU:
        return f"{math.floor(size * 1000) / 1000:g} CPU{'s' if size > 1 else ''}"
    return f"{math.floor(size)} {resource}"
