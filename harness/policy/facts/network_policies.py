"""NetworkPolicies: which of them keep packets from one pod to another."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.core.problem import Problem
from harness.core.values import KeyPath, dig, items
from harness.policy.facts.pods import Pod, pods_of_service, selects
from harness.policy.facts.population import Population, Resident
from harness.policy.rule import problem
from harness.render.objects import Object
from harness.render.rendered import Environment


@dataclass(frozen=True, slots=True)
class Barrier:
    """A policy that lets nothing through, and where it would have to.

    Attributes:
        path: the peers of the rule that opens the ports to somebody else; else the rules.
        is_near: whether there is such a rule.
    """

    policy: Object
    path: KeyPath
    is_near: bool
    message: str

    def problem(self) -> Problem:
        first = [0] if self.policy.dig(*self.path, 0) else []
        return problem(self.policy, self.message, *self.path, *first)


def barriers(
    environment: Environment, source: Resident, target: Resident, ports: Iterable[int]
) -> Iterator[Barrier]:
    """The policies that keep packets from a pod to ports of another one, at either end."""
    ends = (
        (target, source, "Ingress", "ingress", "from"),
        (source, target, "Egress", "egress", "to"),
    )
    for end, other, direction, key, peers in ends:
        policies = policies_at(environment, end, direction)
        shut: dict[tuple[str, KeyPath], tuple[Object, bool, list[int]]] = {}
        for port in sorted(ports) if policies else ():
            rules = [
                (policy, ("spec", key, index), allowed)
                for policy in policies
                for index, allowed in enumerate(items(policy.value, "spec", key))
            ]
            near: list[tuple[Object, KeyPath]] = [
                (policy, (*at, peers)) for policy, at, each in rules if opens(each, port)
            ]
            if not any(_admits(environment, *each, other) for each in near):
                # What lets the other pod in at another port is what to correct, or what opens the
                # port to somebody else.
                known: list[tuple[Object, KeyPath]] = [
                    (policy, (*at, "ports"))
                    for policy, at, each in rules
                    if items(each, peers) and _admits(environment, policy, (*at, peers), other)
                ]
                is_near = bool(near or known)
                policy, path = [*known, *near, (policies[0], ("spec", key))][0]
                shut.setdefault((str(policy), path), (policy, is_near, []))[2].append(port)
        for (_, path), (policy, is_near, closed) in shut.items():
            way = "from" if direction == "Ingress" else "to"
            listed = " and ".join(map(str, closed))
            message = f"lets nothing through {way} {other} on {listed}"
            yield Barrier(policy, path, is_near, message)


def policies_at(environment: Environment, end: Resident, direction: str) -> list[Object]:
    """The policies that a pod's packets of a direction (``Ingress``, ``Egress``) are held to."""
    return [
        policy
        for policy in environment.of("NetworkPolicy")
        if policy.namespace == end.namespace
        and direction in items(policy.value, "spec", "policyTypes")
        and selects(policy.dig("spec", "podSelector"), end.labels)
    ]


def opens(allowed: object, number: int) -> bool:
    """Whether a rule of a policy is about a port; one by its name may be."""
    ports = items(allowed, "ports")
    return not ports or any(
        isinstance(port := dig(each, "port"), str)
        or port in (None, number)
        or (isinstance(port, int) and port <= number <= _last(each))
        for each in ports
    )


def _last(port: object) -> int:
    """The end of a range of ports; 0 where it is one port."""
    end = dig(port, "endPort")
    return end if isinstance(end, int) else 0


def _admits(environment: Environment, policy: Object, where: KeyPath, other: Resident) -> bool:
    """Whether the peers of a rule mean a pod; a rule without any means all."""
    peers = items(policy.value, *where)
    return not peers or any(_fits(environment, policy, peer, other) for peer in peers)


def _fits(environment: Environment, policy: Object, peer: object, other: Resident) -> bool:
    """Whether a peer of a policy means a pod; of addresses nobody knows whose they are."""
    if dig(peer, "ipBlock") is not None:
        return True
    within = dig(peer, "namespaceSelector")
    namespaces = (
        {policy.namespace} if within is None else Population(environment).namespaces(within)
    )
    return other.namespace in namespaces and selects(dig(peer, "podSelector"), other.labels)


def listeners(environment: Environment, service: Object, port: object) -> Iterator[tuple[Pod, int]]:
    """The pods that a port of a Service sends to, each with the number of its own port."""
    goal = dig(port, "targetPort") or dig(port, "port")
    for subject in pods_of_service(service, environment):
        for number in port_numbers([subject], goal):
            yield subject, number


def port_numbers(subjects: list[Pod], port: object) -> set[int]:
    """The numbers of the ports that pods declare by this name or number."""
    declared = (container.port(port) for each in subjects for container in each.containers)
    return {number for number in declared if number is not None}
