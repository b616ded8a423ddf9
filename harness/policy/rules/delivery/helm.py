"""HelmReleases: they land where they should, are kept from drifting, and recover by themselves."""

import math
from collections.abc import Iterator

from harness.core.fix import REMOVED
from harness.core.problem import Problem
from harness.core.values import dig, items, mapping, text
from harness.policy.facts.graph import HELM_TIMEOUT
from harness.policy.facts.pods import Pod, pods
from harness.policy.facts.quantity import number, seconds
from harness.policy.facts.scale import duration, scaler
from harness.policy.facts.serving import servers
from harness.policy.finding import Severity
from harness.policy.project import Project
from harness.policy.recorded.chart_values import unread
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.provenance import nulls
from harness.render.rendered import Environment

_DEADLINE = "MODEL_SYNC_DEADLINE_SECONDS"
_TWIN = {
    "releaseName": "releaseName",
    "targetNamespace": "storageNamespace",
    "storageNamespace": "targetNamespace",
}


@rule(
    "helm/release-identity",
    why="without them the release is named, and its history kept, by where the HelmRelease lives",
    fix="set releaseName, targetNamespace and storageNamespace",
    references=("Flux audit: storageNamespace next to targetNamespace",),
    kinds=("HelmRelease",),
)
def placement(release: Object) -> Iterator[Problem]:
    for key in ("releaseName", "targetNamespace", "storageNamespace"):
        if not release.dig("spec", key):
            right = {"releaseName": release.name}.get(key) or release.dig("spec", _TWIN[key])
            yield problem(release, f"has no {key}", "spec", key, to=right)
    target, storage = (release.dig("spec", f"{key}Namespace") for key in ("target", "storage"))
    if target and storage and target != storage:
        message = f"keeps its history in {storage}, its objects in {target}"
        yield problem(release, message, "spec", "storageNamespace", to=target)


@rule(
    "helm/one-owner",
    why="two HelmReleases that manage one Helm release install over each other, without end",
    fix="give each its own releaseName: a serving group's is the group's name",
    first=True,
)
def one_owner(environment: Environment) -> Iterator[Problem]:
    owners: dict[tuple[str, str], Object] = {}
    # Of two that manage one, the one with another name is the copy.
    releases = [(_release_name(each), each) for each in environment.of("HelmRelease")]
    for name, release in sorted(releases, key=lambda each: each[0] != each[1].name):
        namespace = text(release.value, "spec", "storageNamespace") or release.namespace
        other = owners.setdefault((namespace, name), release)
        if str(other) != str(release):
            message = f"manages the Helm release {namespace}/{name}, as {other} does"
            yield problem(release, message, "spec", "releaseName")


def _release_name(release: Object) -> str:
    return text(release.value, "spec", "releaseName") or release.name


@rule(
    "helm/drift",
    why="a change made by hand stays until the next release, and nobody sees it",
    fix="driftDetection: {mode: enabled}; ignore /spec/replicas at most",
    references=("Flux audit: drift detection",),
    kinds=("HelmRelease",),
)
def drift(release: Object) -> Iterator[Problem]:
    where = ("spec", "driftDetection")
    if release.dig(*where, "mode") != "enabled":
        yield problem(release, "does not repair drift", *where, "mode", to="enabled")
    for index, ignored in enumerate(items(release.value, *where, "ignore")):
        if set(map(str, items(ignored, "paths"))) - {"/spec/replicas"}:
            yield problem(
                release, "lets more than replicas drift", *where, "ignore", index, to=REMOVED
            )


@rule(
    "helm/remediation",
    why="a release that failed once stays failed until somebody comes",
    fix="give install and upgrade a strategy, and upgrade a remediation with retries",
    kinds=("HelmRelease",),
)
def recovers(release: Object) -> Iterator[Problem]:
    for action in ("install", "upgrade"):
        settings = mapping(release.value, "spec", action)
        if not (dig(settings, "strategy", "name") or dig(settings, "remediation", "retries")):
            yield problem(release, f"a failed {action} stays failed", "spec", action)


@rule(
    "helm/tested",
    why="Ready means then that pods run, not that a model answers: what answers nothing is neither "
    "rolled back nor kept from promotion",
    fix="test: {enable: true} in the HelmRelease, and test.model among its values",
)
def servers_are_tested(project: Project) -> Iterator[Problem]:
    promoted = {each.name: each for pair in project.promotions for each in pair}
    for environment in promoted.values():
        for owner in {server.pod.owner.owner for server in servers(environment)}:
            release = environment.find("HelmRelease", owner.name, owner.namespace)
            if release and release.dig("spec", "test", "enable") is not True:
                message = "nothing asks its servers for an answer"
                yield problem(release, message, "spec", "test", "enable", to=True)
            if release and release.dig("spec", "test", "ignoreFailures") is True:
                message = "is good whatever its test says"
                yield problem(release, message, "spec", "test", "ignoreFailures", to=REMOVED)


@rule(
    "helm/reconcile-strategy",
    why="with Revision each commit, even one of a comment, upgrades the release and rolls its pods",
    fix="reconcileStrategy: ChartVersion, and no version: `harness generate` writes it",
    kinds=("HelmRelease",),
)
def chart_version(release: Object) -> Iterator[Problem]:
    where = ("spec", "chart", "spec")
    if text(release.value, *where, "sourceRef", "kind") == "GitRepository":
        if release.dig(*where, "reconcileStrategy") == "Revision":
            yield problem(
                release, "upgrades with each commit", *where, "reconcileStrategy", to="ChartVersion"
            )
        if release.dig(*where, "version"):
            yield problem(
                release, "names a version, which Git ignores", *where, "version", to=REMOVED
            )


@rule(
    "helm/timeout",
    why="Helm gives up while images, model archives and pods are still coming, and rolls back",
    fix="raise spec.timeout above the sync Job's deadline and the time of a whole rollout, which "
    "goes pod by pod where pods make room for each other",
)
def timeout(environment: Environment) -> Iterator[Problem]:
    for release in environment.of("HelmRelease"):
        limit = seconds(release.dig("spec", "timeout"), HELM_TIMEOUT)
        for item in environment.of("Job", "Deployment"):
            if item.owner.kind == "HelmRelease" and item.owner.name == release.name:
                needed = duration(environment, item)
                if limit < needed:
                    message = f"gives up after {limit:g} s, {item} may take {needed} s"
                    minutes = math.ceil(needed / 60)
                    yield problem(release, message, "spec", "timeout", to=f"{minutes}m")


@rule(
    "helm/values-read",
    why="a value that no template of the chart reads changes nothing, and who sets it believes "
    "that it did",
    fix="correct its name, use it in a template, or take it out",
)
def values_are_read(environment: Environment) -> Iterator[Problem]:
    for tree, request in environment.charts:
        documented = tree.documents(f"{request.chart}/values.yaml")
        for document in documented:
            for path in unread(tree, request.chart, mapping(document.value)):
                message = f"no template reads {'.'.join(map(str, path))}"
                yield Problem(message, document.at(path), request.chart)
        for release in environment.of("HelmRelease"):
            if text(release.value, "spec", "releaseName") == request.release:
                for path in unread(tree, request.chart, mapping(release.value, "spec", "values")):
                    message = f"no template of {request.chart} reads {'.'.join(map(str, path))}"
                    yield problem(release, message, "spec", "values", *path, to=REMOVED)


@rule(
    "helm/sync-turns",
    why="sync Jobs of several groups fill one store one after the other: a Job that may not wait "
    "for all the others fails, and its upgrade with it, when several groups change at once",
    fix="raise modelStore.sync.waitSeconds to the sum of the other groups' deadlineSeconds (and "
    "spec.timeout with it), or lower deadlineSeconds",
    severity=Severity.WARNING,
)
def sync_turns(environment: Environment) -> Iterator[Problem]:
    jobs = [(each.owner, _sync_seconds(each)) for each in pods(environment, "Job")]
    total = sum(turn for _, turn in jobs)
    for job, turn in jobs:
        limit = number(job.dig("spec", "activeDeadlineSeconds"), 0)
        if turn and limit < total:
            message = f"has {limit:g} s for its turn and those of other groups, {total:g} s in all"
            yield problem(job, message, "spec", "activeDeadlineSeconds")


def _sync_seconds(job: Pod) -> float:
    """Seconds that a sync Job may have the store; 0 if it is none."""
    variables = (each for one in job.containers for each in items(one.value, "env"))
    return max(
        (number(dig(each, "value"), 0) for each in variables if dig(each, "name") == _DEADLINE),
        default=0,
    )


@rule(
    "helm/nulls-arrive",
    why="Kustomize takes a null in a patch for `remove this key`: it never reaches the chart, and "
    "the chart's default holds",
    fix="write the value that is meant (autoscaling.enabled: true instead of replicas: null), or "
    "take the line out",
    severity=Severity.WARNING,
)
def nulls_arrive(environment: Environment) -> Iterator[Problem]:
    for tree, request in environment.charts:
        for release in environment.of("HelmRelease"):
            if text(release.value, "spec", "releaseName") != request.release:
                continue
            for path, at in nulls(tree, release):
                if path == ("replicas",) and _is_scaled(environment, release):
                    continue  # availability/one-owner-of-replicas
                around = mapping(release.value, "spec", "values", *path[:-1])
                if path[-1] not in around:
                    name = ".".join(map(str, path))
                    yield Problem(f"{name}: null is dropped by Kustomize", at, str(release))


def _is_scaled(environment: Environment, release: Object) -> bool:
    """Whether an autoscaler owns the pods of a release."""
    return any(
        scaler(environment, each) and each.owner.name == release.name
        for each in environment.of("Deployment")
    )
