"""Availability: an upgrade, a drained node or a lost zone takes one pod, never the service."""

from collections.abc import Iterator

from harness.policy.finding import Problem
from harness.policy.pods import pod, pods, selects
from harness.policy.rule import problem, rule
from harness.render.objects import Environment, Object, dig, items, mapping, text


def _replicas(workload: Object) -> int:
    count = workload.dig("spec", "replicas")
    return count if isinstance(count, int) else 1


@rule(
    "availability/budget",
    why="without a budget a drained node may take every replica at once; one that selects nothing, "
    "allows every pod or allows none only reads as protection",
    fix="let a PodDisruptionBudget select the pods, with maxUnavailable of at least 1, below the "
    "number of replicas",
)
def budget(environment: Environment) -> Iterator[Problem]:
    guarded = []
    for found in environment.of("PodDisruptionBudget"):
        subjects = [
            subject.owner
            for subject in pods(environment, "Deployment", "StatefulSet")
            if subject.owner.namespace == found.namespace
            and selects(found.dig("spec", "selector"), subject.labels)
        ]
        guarded += [str(subject) for subject in subjects]
        if not subjects:
            yield problem(found, "selects no pod", "spec", "selector")
        replicas = sum(map(_replicas, subjects))
        for key, useless in (
            ("maxUnavailable", {"0", "0%", "100%"}),
            ("minAvailable", {"0", "0%", "100%", str(replicas)}),
        ):
            value = found.dig("spec", key)
            if value is not None and subjects and str(value) in useless:
                message = f"{key} {value} of {replicas} protects nothing, or everything"
                yield problem(found, message, "spec", key)
    for owner in environment.of("Deployment", "StatefulSet"):
        if str(owner) not in guarded:
            yield problem(owner, "no PodDisruptionBudget selects its pods", "spec")


@rule(
    "availability/production-replicas",
    why="one replica means an outage with every roll-out, drained node and crash",
    fix="run at least two replicas in production, or an autoscaler with a minimum of two",
)
def production_replicas(environment: Environment) -> Iterator[Problem]:
    for deployment in environment.of("Deployment") if environment.name == "production" else ():
        scaled = _scaler(environment, deployment)
        least = scaled.dig("spec", "minReplicas") if scaled else _replicas(deployment)
        if not isinstance(least, int) or least < 2:
            message = f"production runs as few as {least or 0}"
            yield problem(scaled or deployment, message, "spec", "replicas")


def _scaler(environment: Environment, deployment: Object) -> Object | None:
    for scaler in environment.of("HorizontalPodAutoscaler", "ScaledObject"):
        if scaler.namespace == deployment.namespace and deployment.name == text(
            scaler.value, "spec", "scaleTargetRef", "name"
        ):
            return scaler
    return None


@rule(
    "availability/one-owner-of-replicas",
    why="Helm and an autoscaler would set the number in turn, at each reconciliation",
    fix="let the chart omit replicas (its value is null) where an autoscaler owns them",
)
def one_owner_of_replicas(environment: Environment) -> Iterator[Problem]:
    for deployment in environment.of("Deployment"):
        if _scaler(environment, deployment) and deployment.dig("spec", "replicas") is not None:
            yield problem(deployment, "an autoscaler owns replicas", "spec", "replicas")


@rule(
    "availability/spread",
    why="replicas on one node, or in one zone, fail together; a constraint whose selector fits "
    "nothing spreads nothing",
    fix="spread over hostname and zone, with the pod's own labels as selector",
    kinds=("Deployment",),
)
def spread(deployment: Object) -> Iterator[Problem]:
    subject = pod(deployment)
    where = "topologySpreadConstraints"
    keys = {text(each, "topologyKey") for each in items(subject.spec, where)}
    for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone"):
        if key not in keys:
            yield subject.problem(f"is not spread over {key}", where)
    for index, constraint in enumerate(items(subject.spec, where)):
        if not selects(dig(constraint, "labelSelector"), subject.labels):
            yield subject.problem("spreads pods that are not its own", where, index)


@rule(
    "availability/roll-out",
    why="a roll-out that first stops pods is an outage while models load",
    fix="strategy RollingUpdate with maxUnavailable: 0",
    kinds=("Deployment",),
)
def roll_out(deployment: Object) -> Iterator[Problem]:
    strategy = mapping(deployment.value, "spec", "strategy")
    unavailable = dig(strategy, "rollingUpdate", "maxUnavailable")
    if strategy.get("type") == "Recreate":
        yield problem(deployment, "stops all pods before it starts new ones", "spec", "strategy")
    elif str(unavailable) not in ("0", "0%"):
        message = f"may be {unavailable or '25%'} short during a roll-out"
        yield problem(deployment, message, "spec", "strategy", "rollingUpdate")
