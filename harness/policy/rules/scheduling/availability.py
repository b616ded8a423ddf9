"""Availability: an upgrade, a drained node or a lost zone takes one pod, never the service."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator

from harness.core.fix import NOTHING, REMOVED, Fix, set_at
from harness.core.problem import Location, Problem
from harness.core.values import KeyPath, Value, dig, items, mapping, text
from harness.policy.facts.pods import pod, pods, selects, selects_older
from harness.policy.facts.scale import fewest, replicas, rollout, scalers, share
from harness.policy.project import Project
from harness.policy.recorded.charts import misfits, of_release
from harness.policy.rule import problem, rule
from harness.render.rendered import Environment


@rule(
    "availability/budget",
    why="without a budget a drained node may take every replica at once; one that selects nothing, "
    "allows every pod or allows none only reads as protection; a pod of two is never evicted",
    fix="let one PodDisruptionBudget select the pods, with maxUnavailable of at least 1, below the "
    "number of replicas",
    like=(
        "kube-score deployment-has-poddisruptionbudget",
        "kube-linter pdb-max-unavailable",
    ),
)
def budget(environment: Environment) -> Iterator[Problem]:
    guarded: Counter[str] = Counter()
    astray: set[str] = set()  # namespaces with a budget that was meant for some pods there
    for pdb in environment.of("PodDisruptionBudget"):
        selector = pdb.dig("spec", "selector")
        neighbors = [
            subject
            for subject in pods(environment, "Deployment", "StatefulSet")
            if subject.owner.namespace == pdb.namespace
        ]
        subjects = [each.owner for each in neighbors if selects(selector, each.labels)]
        guarded.update(map(str, subjects))
        if not any(selects_older(selector, each.labels) for each in neighbors):
            astray.add(pdb.namespace)
            yield problem(pdb, "selects no pod", "spec", "selector")
        total = sum(replicas(environment, subject)[0] for subject in subjects)
        for key in ("maxUnavailable", "minAvailable"):
            value = pdb.dig("spec", key)
            limit = math.ceil(share(value, total))  # Kubernetes rounds both up
            evictable = limit if key == "maxUnavailable" else total - limit
            if value is not None and subjects and not 0 < evictable < max(total, 2):
                where: KeyPath = ("spec", key)
                message = f"{key} {value} of {total} protects nothing, or everything"
                # Where a template says both, however many there are.
                if pdb.at(*where) == subjects[0].at("spec", "replicas"):
                    where, message = ("spec",), f"{key} is the number of pods: none may ever go"
                yield problem(pdb, message, *where)
    yield from _budgets_of_proxies(environment)
    for owner in environment.of("Deployment", "StatefulSet"):
        if not guarded[str(owner)] and owner.namespace not in astray:
            yield problem(owner, "no PodDisruptionBudget selects its pods", "spec")
        if guarded[str(owner)] > 1:
            message = "several PodDisruptionBudgets select its pods: none is ever evicted"
            yield problem(owner, message, "spec")


def _budgets_of_proxies(environment: Environment) -> Iterator[Problem]:
    """The budgets that Envoy Gateway makes of an EnvoyProxy."""
    for proxy in environment.of("EnvoyProxy"):
        where = ("spec", "provider", "kubernetes")
        count = proxy.dig(*where, "envoyHpa", "minReplicas") or proxy.dig(
            *where, "envoyDeployment", "replicas"
        )
        pods_of_it = count if isinstance(count, int) else 1
        key = never_evicted(mapping(proxy.value, *where, "envoyPDB"), pods_of_it)
        if key:
            message = f"{key} lets none of {_pods(pods_of_it)} go: no drain ends"
            to = 1 if key == "maxUnavailable" else pods_of_it - 1 or None
            yield problem(proxy, message, *where, "envoyPDB", key, to=to)


@rule(
    "availability/chart-budget",
    why="a budget that lets no pod go blocks every drain: a node's update fails after 15 minutes",
    fix="run more replicas than minAvailable, or let maxUnavailable be at least 1",
)
def chart_budget(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        for release in environment.of("HelmRelease"):
            record = of_release(project.repository, environment, release)
            if not record or any(misfits(record.keys, mapping(release.value, "spec", "values"))):
                continue  # helm/values-known: a misspelt number of replicas is not none
            for each in record.pods:
                values = record.values(release)
                count = dig(values, *each.replicas)
                budget = mapping(values, *each.budget) if each.budget else {}
                replicas = count if isinstance(count, int) else 1
                key = never_evicted(budget, replicas)
                if key and budget.get("enabled") is not False:
                    message = f"{each.name}: {key} lets none of {_pods(replicas)} go: no drain ends"
                    by_release = release.dig("spec", "values", *each.replicas) is not None
                    path = each.replicas if by_release and replicas == 1 else (*each.budget, key)
                    to = 2 if path == each.replicas else replicas - 1 or None
                    to = 1 if key == "maxUnavailable" else to
                    yield problem(release, message, "spec", "values", *path, to=to)


def never_evicted(budget: Value, count: int) -> str:
    """The key of a budget by which none of ``count`` pods may go; empty if one may."""
    least, most = budget.get("minAvailable"), budget.get("maxUnavailable")
    if least is not None and math.ceil(share(least, count)) >= count:
        return "minAvailable"
    if most is not None and math.ceil(share(most, count)) <= 0:
        return "maxUnavailable"
    return ""


def _pods(count: int) -> str:
    return f"{count} pod{'s' if count != 1 else ''}"


@rule(
    "availability/production-replicas",
    why="one replica means an outage with every rollout, drained node and crash",
    fix="run at least two replicas in production, or an autoscaler with a minimum of two",
    like=(
        "kube-linter minimum-three-replicas",
        "kube-score deployment-replicas",
    ),
)
def production_replicas(project: Project) -> Iterator[Problem]:
    for environment in map(project.environments.__getitem__, project.sources):
        for deployment in environment.of("Deployment"):
            least, _ = replicas(environment, deployment)
            if least < 2:
                owner, path = fewest(environment, deployment)
                message = f"{environment.name} runs as few as {least}"
                yield problem(owner, message, *path, to=2)


@rule(
    "availability/one-owner-of-replicas",
    why="Helm and an autoscaler would set the number in turn, at each reconciliation",
    fix="autoscaling.enabled: true in the chart's values, at any place (autoscaling.kind for an "
    "autoscaler of the chart's own): the chart then writes no number (Kustomize would drop "
    "`replicas: null` of an overlay)",
    like=("kube-score deployment-targeted-by-hpa-does-not-have-replicas-configured",),
)
def one_owner_of_replicas(environment: Environment) -> Iterator[Problem]:
    for deployment in environment.of("Deployment"):
        owners = list(scalers(environment, deployment))
        for each in owners[1:]:
            message = f"{owners[0]} scales {deployment} already"
            yield problem(each, message, "spec", "scaleTargetRef")
        if owners and deployment.dig("spec", "replicas") is not None:
            fix = _leave_to_autoscaler(deployment.at("spec", "replicas"))
            yield problem(deployment, "an autoscaler owns replicas", "spec", "replicas", fix=fix)


def _leave_to_autoscaler(at: Location) -> Fix:
    """Take the number out of a release's values, and say there that an autoscaler owns it."""
    if at.field is None or at.field.keys != ("spec", "values", "replicas"):
        return NOTHING
    enabled = dataclasses.replace(at.field, keys=("spec", "values", "autoscaling", "enabled"))
    return set_at(dataclasses.replace(at, field=enabled), True) + set_at(at, REMOVED)


@rule(
    "availability/spread",
    why="replicas on one node, or in one zone, fail together; a constraint whose selector fits "
    "nothing spreads nothing",
    fix="spread over hostname and zone, with a label that only these pods have as selector",
    like=(
        "kube-linter no-anti-affinity",
        "kube-score deployment-has-host-podantiaffinity",
    ),
)
def spread(environment: Environment) -> Iterator[Problem]:
    servers = list(pods(environment, "Deployment"))
    for subject in servers:
        where = "topologySpreadConstraints"
        keys = {text(each, "topologyKey") for each in items(subject.spec, where)}
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone"):
            if key not in keys:
                yield subject.problem(f"is not spread over {key}", where)
        for index, constraint in enumerate(items(subject.spec, where)):
            counted = [
                each
                for each in servers
                if each.owner.namespace == subject.owner.namespace
                and selects(dig(constraint, "labelSelector"), each.labels)
            ]
            if counted != [subject]:
                yield subject.problem("spreads pods that are not its own", where, index)


@rule(
    "availability/rollout",
    why="a rollout that stops pods before others are ready is an outage while models load; where "
    "no GPU is short it takes capacity away for nothing",
    fix="maxUnavailable: 0; of two or more pods on GPUs one, or a quarter of them, may make room "
    "(rollout.maxSurge: 0); a single pod on GPUs needs maxSurge: 1 and a GPU that is free",
    like=(
        "kube-linter no-rolling-update-strategy",
        "kube-score deployment-strategy",
    ),
)
def roll_out(environment: Environment) -> Iterator[Problem]:
    for deployment in environment.of("Deployment"):
        where = ("spec", "strategy")
        if deployment.dig(*where, "type") == "Recreate":
            yield problem(deployment, "stops all pods before it starts new ones", *where)
            continue
        rolling = rollout(deployment, replicas(environment, deployment)[0])
        shared = rolling.replicas > 1 and pod(deployment).gpus
        if rolling.unavailable > (max(1, rolling.replicas // 4) if shared else 0):
            message = f"may be {rolling.unavailable} of {rolling.replicas} pods short in a rollout"
            key = "maxUnavailable" if rolling.unavailable > 1 else "maxSurge"
            yield problem(deployment, message, *where, "rollingUpdate", key)
