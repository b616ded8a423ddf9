"""What the pods of a namespace count against a ResourceQuota, limit ranges included.

A quota is asked of each pod as it is made; one that does not fit is refused, and whoever wanted it
tries again without end. https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from harness.core.values import Key, Value, items, mapping, text
from harness.policy.facts.pods import Container, Pod, pods
from harness.policy.facts.quantity import quantity
from harness.policy.facts.scale import replicas, rollout
from harness.render.objects import Object
from harness.render.rendered import Environment

Amounts = Mapping[str, Fraction]
"""How much of each resource."""

REQUESTS, LIMITS = "requests", "limits"
_HOOK = "helm.sh/hook"


@dataclass(frozen=True, slots=True)
class Charge:
    """What the pods of one workload take, all that there are at once.

    Attributes:
        workload: who makes them.
        pods: how many there are.
        takes: their ``requests`` and ``limits`` together.
        containers: each container's own, by its name.
    """

    workload: Object
    pods: int
    takes: Mapping[str, Amounts]
    containers: tuple[tuple[str, Mapping[str, Amounts]], ...]


def charges(environment: Environment, namespace: str) -> list[Charge]:
    """What everything that runs in a namespace takes at once.

    Hooks run one after the other, while the pods of before go on: the largest counts.
    """
    ranges = list(range_limits(environment, namespace, "Container"))
    all_charges = [
        _charge(environment, subject, [limit for *_, limit in ranges])
        for subject in pods(environment)
        if subject.owner.namespace == namespace
    ]
    hooks = [each for each in all_charges if _HOOK in each.workload.annotations]
    steady = [each for each in all_charges if _HOOK not in each.workload.annotations]
    return steady + sorted(hooks, key=lambda each: sum(each.takes[REQUESTS].values()))[-1:]


def _charge(environment: Environment, subject: Pod, limits: list[Value]) -> Charge:
    rolling = rollout(subject.owner, replicas(environment, subject.owner)[0])
    # A rollout that may do without its surge ends without it.
    count = rolling.replicas + (0 if rolling.unavailable else rolling.surge)
    containers = [(each, filled_in(each, limits)) for each in subject.containers]
    takes = {}
    for kind in (REQUESTS, LIMITS):
        stays: dict[str, Fraction] = {}
        starts: dict[str, Fraction] = {}
        for container, resources in containers:
            goes = container.init and container.dig("restartPolicy") != "Always"
            for name, amount in resources[kind].items():
                if goes:
                    starts[name] = max(starts.get(name, amount), amount)
                else:
                    stays[name] = stays.get(name, Fraction(0)) + amount
        takes[kind] = {
            name: max(stays.get(name, Fraction(0)), starts.get(name, Fraction(0))) * count
            for name in {**stays, **starts}
        }
    named = tuple((container.name, resources) for container, resources in containers)
    return Charge(subject.owner, count, takes, named)


def filled_in(container: Container, limits: list[Value]) -> dict[str, Amounts]:
    """The requests and limits of a container, with what limit ranges and the server add.

    https://kubernetes.io/docs/concepts/policy/limit-range/
    """
    resources = mapping(container.value, "resources")
    most = amounts(mapping(resources, LIMITS))
    least = {**most, **amounts(mapping(resources, REQUESTS))}
    for limit in limits:
        default = {**mapping(limit, "max"), **mapping(limit, "default")}
        request = {**mapping(limit, "min"), **default, **mapping(limit, "defaultRequest")}
        most = {**amounts(default), **most}
        least = {**amounts(request), **least}
    return {REQUESTS: least, LIMITS: most}


def range_limits(
    environment: Environment, namespace: str, kind: str
) -> Iterator[tuple[Object, Key, Value]]:
    """What the limit ranges of a namespace say of a kind of thing: object, index and limit."""
    for each in environment.of("LimitRange"):
        for index, limit in enumerate(items(each.value, "spec", "limits")):
            if each.namespace == namespace and text(limit, "type") == kind:
                yield each, index, mapping(limit)


def amounts(values: Value) -> dict[str, Fraction]:
    """The quantities of a mapping, those that are one."""
    return {name: amount for name, each in values.items() if (amount := quantity(each)) is not None}
