"""Quotas and limit ranges: what a namespace allows is what its pods ask for."""

from collections.abc import Iterator
from fractions import Fraction

from harness.core.problem import Problem
from harness.core.values import mapping
from harness.policy.facts.pods import pods
from harness.policy.facts.quantity import quantity
from harness.policy.facts.quotas import (
    LIMITS,
    REQUESTS,
    Charge,
    amounts,
    charges,
    filled_in,
    range_limits,
)
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

# What a quota on it wants every container to say.
_SAID = {
    "cpu": (REQUESTS, "cpu"),
    "memory": (REQUESTS, "memory"),
    "requests.cpu": (REQUESTS, "cpu"),
    "requests.memory": (REQUESTS, "memory"),
    "limits.cpu": (LIMITS, "cpu"),
    "limits.memory": (LIMITS, "memory"),
}
# Kinds that quotas count, by their old and their new names.
_COUNTED = {
    "configmaps": "ConfigMap",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "secrets": "Secret",
    "services": "Service",
    "count/configmaps": "ConfigMap",
    "count/cronjobs.batch": "CronJob",
    "count/deployments.apps": "Deployment",
    "count/jobs.batch": "Job",
    "count/persistentvolumeclaims": "PersistentVolumeClaim",
    "count/secrets": "Secret",
    "count/services": "Service",
    "count/statefulsets.apps": "StatefulSet",
}


@rule(
    "resources/quota",
    why="the API server refuses the pods that no longer fit, or that leave open what the quota "
    "counts: a rollout stops half way, and the Deployment alone says why",
    fix="raise the quota, or let the pods ask for less; what a quota counts, every container sets",
)
def quota_holds_the_pods(environment: Environment) -> Iterator[Problem]:
    for quota in environment.of("ResourceQuota"):
        if quota.dig("spec", "scopes") or quota.dig("spec", "scopeSelector"):
            continue  # it counts some pods alone
        running = charges(environment, quota.namespace)
        for key, written in mapping(quota.value, "spec", "hard").items():
            most = quantity(written)
            where = ("spec", "hard", key)
            if silent := next(_silent(running, key), None):
                yield problem(quota, f"counts {key}, which {silent} does not set", *where)
            elif most is not None and (taken := _taken(environment, quota, running, key)) > most:
                who = ", ".join(str(each.workload) for each in running if _of(each, key))
                message = f"{key}: {written} for what takes {_shown(taken)}"
                yield problem(quota, f"{message} ({who})" if who else message, *where)


def _silent(running: list[Charge], key: str) -> Iterator[str]:
    """The containers that leave open what a quota counts."""
    if key in _SAID:
        kind, name = _SAID[key]
        for charge in running:
            for container, resources in charge.containers:
                if name not in resources[kind]:
                    yield f"container {container} of {charge.workload}"


def _taken(environment: Environment, quota: Object, running: list[Charge], key: str) -> Fraction:
    if key in _COUNTED:
        kinds = environment.of(_COUNTED[key])
        return Fraction(sum(each.namespace == quota.namespace for each in kinds))
    if key == "requests.storage":
        claims = environment.of("PersistentVolumeClaim")
        sizes = (
            quantity(each.dig("spec", "resources", "requests", "storage"))
            for each in claims
            if each.namespace == quota.namespace
        )
        return sum((size for size in sizes if size), Fraction(0))
    return sum((_of(each, key) for each in running), Fraction(0))


def _of(charge: Charge, key: str) -> Fraction:
    """What a workload's pods take of what a quota counts."""
    if key in ("pods", "count/pods"):
        return Fraction(charge.pods)
    kind, _, name = (
        key.partition(".") if key.startswith((REQUESTS, LIMITS)) else (REQUESTS, "", key)
    )
    return charge.takes[kind].get(name, Fraction(0))


@rule(
    "resources/limit-range",
    why="the API server refuses a pod that asks for less or more than the namespace allows",
    fix="change the limit range, or what the container asks for",
)
def limit_range_lets_the_pods_in(environment: Environment) -> Iterator[Problem]:
    for subject in pods(environment):
        ranges = list(range_limits(environment, subject.owner.namespace, "Container"))
        for container in subject.containers if ranges else ():
            resources = filled_in(container, [limit for *_, limit in ranges])
            for source, index, limit in ranges:
                for bound, kind, sign in (("min", REQUESTS, -1), ("max", LIMITS, 1)):
                    for name, amount in amounts(mapping(limit, bound)).items():
                        own_amount = resources[kind].get(name, amount)
                        if (own_amount - amount) * sign > 0:
                            where = ("spec", "limits", index, bound, name)
                            who = f"container {container.name} of {subject.owner}"
                            message = f"{who} has {kind}.{name} {_shown(own_amount)}"
                            yield problem(source, message, *where)


def _shown(amount: Fraction) -> str:
    """A quantity for people: bytes as far as they are whole powers of 1024."""
    for unit, size in (("Gi", 1 << 30), ("Mi", 1 << 20)):
        if amount >= size and amount % size == 0:
            return f"{amount // size}{unit}"
    return str(int(amount)) if amount.denominator == 1 else f"{float(amount):g}"
