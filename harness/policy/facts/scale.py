"""How many pods a workload has: at least, at most, and while it rolls out."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.problem import Location
from harness.core.values import KeyPath, dig, mapping, text
from harness.policy.facts.pods import pod, window
from harness.policy.facts.quantity import number
from harness.render.objects import Object
from harness.render.rendered import Environment

_GRACE = 30  # seconds: Kubernetes' default of terminationGracePeriodSeconds
# Where each kind of autoscaler has its least and its most.
_BOUNDS = {
    "HorizontalPodAutoscaler": ("minReplicas", "maxReplicas"),
    "ScaledObject": ("minReplicaCount", "maxReplicaCount"),
}
_REPLICAS: KeyPath = ("spec", "replicas")
_PRIMARY = ("spec", "autoscalerRef", "primaryScalerReplicas")
_UNSAID = {"minReplicas": 1, "minReplicaCount": 0, "maxReplicaCount": 100}  # their own defaults


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a Deployment replaces its pods.

    Attributes:
        replicas: the pods that it has.
        surge: how many it may have above ``replicas``.
        unavailable: how many of ``replicas`` may be missing.
    """

    replicas: int
    surge: int
    unavailable: int

    @property
    def makes_room(self) -> bool:
        """Whether an old pod has to be gone before a new one can start."""
        return self.surge == 0

    @property
    def steps(self) -> int:
        """How many times in a row pods start until all are replaced."""
        return math.ceil(self.replicas / max(1, self.surge + self.unavailable))


def scaler(environment: Environment, workload: Object) -> Object | None:
    """The autoscaler that owns a workload's replicas."""
    return next(scalers(environment, workload), None)


def scalers(environment: Environment, workload: Object) -> Iterator[Object]:
    """Every autoscaler of a workload: more than one is a mistake."""
    for each in environment.of(*_BOUNDS):
        target = mapping(each.value, "spec", "scaleTargetRef")
        named = (each.namespace, text(target, "name"), text(target, "kind") or workload.kind)
        if named == (workload.namespace, workload.name, workload.kind):
            yield each


def canary(environment: Environment, workload: Object) -> Object | None:
    """The Canary by which Flagger changes a workload: a copy of it serves, its own pods are few."""
    for each in environment.of("Canary"):
        target = mapping(each.value, "spec", "targetRef")
        named = (each.namespace, text(target, "name"), text(target, "kind") or "Deployment")
        if named == (workload.namespace, workload.name, workload.kind):
            return each
    return None


def replicas(environment: Environment, workload: Object) -> tuple[int, int]:
    """The fewest pods of a workload that serve, and the most that there are at once, those of a
    canary included.
    """
    least, most = _bounds(environment, workload)
    owner = canary(environment, workload)
    if owner is None:
        return least, most
    # Without limits of its own the primary has those of the autoscaler, or the workload's number.
    primary = mapping(owner.value, *_PRIMARY)
    fewest_serving, most_serving = primary.get("minReplicas"), primary.get("maxReplicas")
    return (
        fewest_serving if isinstance(fewest_serving, int) else least,
        most + (most_serving if isinstance(most_serving, int) else most),
    )


def _bounds(environment: Environment, workload: Object) -> tuple[int, int]:
    """A workload's own number, or its autoscaler's bounds."""
    if owner := scaler(environment, workload):
        least, most = (
            value if isinstance(value := owner.dig("spec", key), int) else _UNSAID.get(key, 1)
            for key in _BOUNDS[owner.kind]
        )
        return least, most
    count = workload.dig(*number_of_pods(workload))
    return (count, count) if isinstance(count, int) else (1, 1)


def fewest(environment: Environment, workload: Object) -> tuple[Object, KeyPath]:
    """The object that says how few pods a workload may have, and where in it."""
    if (owner := canary(environment, workload)) and owner.dig(*_PRIMARY):
        return owner, (*_PRIMARY, "minReplicas")
    scaling = scaler(environment, workload)
    return (scaling, ("spec", _BOUNDS[scaling.kind][0])) if scaling else (workload, _REPLICAS)


def number_of_pods(workload: Object) -> KeyPath:
    """The path at which a workload says how many pods it has; one where it says nothing there."""
    jobs: dict[str, KeyPath] = {
        "Job": ("spec", "parallelism"),
        "CronJob": ("spec", "jobTemplate", "spec", "parallelism"),
    }
    return jobs.get(workload.kind, _REPLICAS)


def counted_at(environment: Environment, workload: Object) -> Location:
    """The line that says how many pods a workload may have: its own, or its autoscaler's."""
    if (owner := canary(environment, workload)) and owner.dig(*_PRIMARY):
        return owner.at(*_PRIMARY, "maxReplicas")
    scaling = scaler(environment, workload)
    return (
        scaling.at("spec", _BOUNDS[scaling.kind][1])
        if scaling
        else workload.at(*number_of_pods(workload))
    )


def rollout(workload: Object, count: int) -> Rollout:
    """How a workload that has ``count`` pods replaces them.

    Shares round as Kubernetes rounds them: the surge up, the missing down, and one missing where
    both come to nothing (ResolveFenceposts of k8s.io/kubernetes/pkg/controller/deployment/util).
    Only a Deployment surges; Recreate leaves none.
    """
    strategy = mapping(workload.value, "spec", "strategy")
    if workload.kind != "Deployment":
        return Rollout(count, 0, 1)
    if strategy.get("type") == "Recreate":
        return Rollout(count, 0, count)
    surge = math.ceil(share(dig(strategy, "rollingUpdate", "maxSurge"), count))
    unavailable = math.floor(share(dig(strategy, "rollingUpdate", "maxUnavailable"), count))
    return Rollout(count, surge, unavailable if surge or unavailable else 1)


def share(value: object, count: int) -> float:
    """How many of ``count`` pods a number or a percentage is; a quarter unless it says."""
    written = "25%" if value is None else str(value)
    if written.endswith("%"):
        return count * number(written[:-1], 25) / 100
    return number(written, 1)


def step(workload: Object, rolling: Rollout) -> int:
    """Seconds that a step of a rollout may take.

    A pod may start for as long as its startup probe waits; where it needs the room of an old pod,
    the old one may first take its grace period.
    """
    template = pod(workload)
    starts = [window(each.dig("startupProbe") or {}) for each in template.containers]
    grace = template.spec.get("terminationGracePeriodSeconds", _GRACE)
    stops = grace if rolling.makes_room and isinstance(grace, int) else 0
    return stops + max(starts, default=0)


def duration(environment: Environment, workload: Object) -> int:
    """Seconds that a Job may run, or that the rollout of all pods of a Deployment may take."""
    if workload.kind == "Job":
        deadline = workload.dig("spec", "activeDeadlineSeconds")
        return deadline if isinstance(deadline, int) else 0
    rolling = rollout(workload, replicas(environment, workload)[1])
    return rolling.steps * step(workload, rolling)
