"""Settings that switch a proof off: Ready, a test or a rollback that then means less."""

from collections.abc import Iterator

from harness.core.fix import REMOVED
from harness.core.problem import Problem
from harness.core.values import items, text
from harness.policy.facts.graph import KUSTOMIZE, Graph
from harness.policy.facts.pods import WORKLOADS
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_RUNS = (*WORKLOADS, "HelmRelease", "Gateway")  # kinds of which Ready says that something works
_KEEPS = ("Namespace", "PersistentVolume", "PersistentVolumeClaim", "StatefulSet")
_FORCED = "kustomize.toolkit.fluxcd.io/force"
_ACTIONS = ("install", "upgrade", "rollback")
_SWITCHES = ("disableWait", "disableWaitForJobs", "disableHooks")


@rule(
    "flux/waits",
    why="without `wait` Ready means applied, not working: what depends on it comes too early, and "
    "promotion counts a release as good that never ran",
    fix="set wait: true on what others depend on and on what runs; a Gateway needs "
    "healthCheckExprs too, as clusters/staging/infra.yaml has them",
    references=("Flux audit: wait on what is depended upon",),
)
def waits(environment: Environment) -> Iterator[Problem]:
    graph = Graph(environment)
    needed = {each for name in graph.kustomizations for each in graph.needs(name)}
    for name, flux in graph.kustomizations.items():
        kinds = {each.kind for each in environment.objects if _applies(flux, each)}
        checked = items(flux.value, "spec", "healthChecks")
        waiting = flux.dig("spec", "wait") is True or bool(checked)
        if not waiting and (name in needed or kinds & set(_RUNS)):
            yield problem(flux, "does not wait for what it applies", "spec", "wait", to=True)
        expressions = items(flux.value, "spec", "healthCheckExprs")
        if (
            waiting
            and "Gateway" in kinds
            and "Gateway" not in [text(e, "kind") for e in expressions]
        ):
            message = "takes a Gateway for healthy before a proxy runs: it has no healthCheckExprs"
            yield problem(flux, message, "spec", "path")


def _applies(flux: Object, each: Object) -> bool:
    return (each.owner.kind, each.owner.name) == ("Kustomization", flux.name)


@rule(
    "flux/force",
    why="with force a change of an immutable field deletes the object and creates another: claims "
    "and volumes under running pods, with what they hold",
    fix="remove force; change an immutable field by a new object next to the old one",
)
def nothing_is_forced(environment: Environment) -> Iterator[Problem]:
    for flux in environment.of("Kustomization"):
        volumes = [each for each in environment.of(*_KEEPS) if _applies(flux, each)]
        if flux.group == KUSTOMIZE and flux.dig("spec", "force") is True and volumes:
            message = f"would delete {volumes[0]} to change it"
            yield problem(flux, message, "spec", "force", to=REMOVED)
    for each in environment.of(*_KEEPS):
        if str(each.annotations.get(_FORCED, "")).lower() == "enabled":
            where = ("metadata", "annotations", _FORCED)
            yield problem(each, "is deleted when an immutable field changes", *where, to=REMOVED)
    for release in environment.of("HelmRelease"):
        if release.dig("spec", "upgrade", "force") is True:
            where = ("spec", "upgrade", "force")
            yield problem(release, "replaces its objects in an upgrade", *where, to=REMOVED)


@rule(
    "helm/waits",
    why="without waiting or hooks an upgrade counts as good whose pods never start and whose "
    "archives were not fetched: nothing is rolled back",
    fix="remove disableWait, disableWaitForJobs and disableHooks",
)
def releases_wait(environment: Environment) -> Iterator[Problem]:
    needed = {
        text(each, "name")
        for release in environment.of("HelmRelease")
        for each in items(release.value, "spec", "dependsOn")
    }
    for release in environment.of("HelmRelease"):
        # Of a third-party chart that nothing waits for it may be the recipe.
        for action in _ACTIONS if _is_ours(release) or release.name in needed else ():
            for switch in _SWITCHES:
                where = ("spec", action, switch)
                if release.dig(*where) is True:
                    yield problem(release, f"{action} has {switch}", *where, to=REMOVED)


def _is_ours(release: Object) -> bool:
    kind = text(release.value, "spec", "chart", "spec", "sourceRef", "kind")
    return kind == "GitRepository"
