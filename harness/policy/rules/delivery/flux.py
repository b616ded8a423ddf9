"""Flux's graph: everything arrives after what it needs, and Ready means that it works."""

import math
from collections.abc import Iterator
from pathlib import PurePosixPath

from harness.core.fix import REMOVED
from harness.core.problem import Problem
from harness.core.values import items, text
from harness.policy.facts.graph import HELM_TIMEOUT, KUSTOMIZE, Graph, chart
from harness.policy.facts.pods import pods
from harness.policy.facts.quantity import seconds
from harness.policy.facts.scale import duration
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_KINDS = ("Kustomization", "HelmRelease")
_REFERENCES = (
    ("spec", "sourceRef"),
    ("spec", "chart", "spec", "sourceRef"),
    ("spec", "chartRef"),
)
_CRDS = {  # which charts bring the CRDs of a group
    "cert-manager.io": ("cert-manager",),
    "flagger.app": ("flagger",),
    "gateway.envoyproxy.io": ("gateway-crds-helm", "gateway-helm", "envoy-gateway"),
    "gateway.networking.k8s.io": ("gateway-crds-helm", "gateway-helm", "envoy-gateway"),
    "keda.sh": ("keda",),
    "monitoring.coreos.com": ("prometheus-operator-crds", "kube-prometheus-stack"),
}


def _by_flux(environment: Environment) -> Iterator[Object]:
    return (item for item in environment.of(*_KINDS) if item.group.endswith("fluxcd.io"))


@rule(
    "flux/depends-on",
    why="Kustomizations that wait for each other are never applied",
    fix="remove one of the dependencies of the circle",
    references=("Flux audit: dependsOn is a DAG",),
)
def depends_on(environment: Environment) -> Iterator[Problem]:
    graph = Graph(environment)
    for name, item in graph.kustomizations.items():
        if name in graph.before(name):
            yield problem(item, "depends on itself, by way of others", "spec", "dependsOn")


@rule(
    "flux/source",
    why="Flux is told to refuse references across namespaces",
    fix="name no other namespace; everything that Flux refers to lives in flux-system",
    references=("Flux audit: --no-cross-namespace-refs",),
)
def source(environment: Environment) -> Iterator[Problem]:
    for item in _by_flux(environment):
        for path in _REFERENCES:
            if text(item.value, *path, "namespace") not in ("", item.namespace):
                yield problem(item, "refers to another namespace", *path, "namespace", to=REMOVED)
        for index, needed in enumerate(items(item.value, "spec", "dependsOn")):
            if text(needed, "namespace") not in ("", item.namespace):
                yield problem(item, "refers to another namespace", "spec", "dependsOn", index)


@rule(
    "flux/disjoint-paths",
    why="two Kustomizations that apply one folder undo each other, and prune what the other made",
    fix="give each Kustomization a folder of its own",
    references=("Flux audit: no overlapping paths",),
    first=True,
)
def disjoint_paths(environment: Environment) -> Iterator[Problem]:
    flux = Graph(environment).kustomizations
    paths = {name: PurePosixPath(text(item.value, "spec", "path")) for name, item in flux.items()}
    # Of two that apply one folder it belongs to the one that is called so.
    order = sorted(paths, key=lambda name: (paths[name].name != name, len(paths[name].parts)))
    for number, name in enumerate(order):
        for other in order[:number]:
            one, two = paths[name], paths[other]
            if one.is_relative_to(two) or two.is_relative_to(one):
                overlap = f"as {other} does" if one == two else f"and {other} applies {two}"
                message = f"applies {one}, {overlap}"
                yield problem(flux[name], message, "spec", "path")
                break


@rule(
    "flux/order",
    why="an object whose namespace, claim or CRD comes later is refused, again and again; a route "
    "before its Gateway is before its policies too",
    fix="add the Kustomization that brings it to dependsOn; for what a HelmRelease installs, the "
    "HelmRelease that brings it to that of the release",
    references=("Flux audit: namespaces and CRDs first",),
)
def order(environment: Environment) -> Iterator[Problem]:
    graph = Graph(environment)
    early: dict[tuple[str, str], tuple[Object, Object]] = {}
    for dependent, needed in _needs(environment):
        applier, bringer = graph.applier(dependent), graph.applier(needed)
        together = applier == bringer and needed.kind != "HelmRelease"
        if not bringer or together or bringer in graph.before(applier):
            continue
        release = graph.releases.get(dependent.owner.name)
        if needed.kind == "HelmRelease" and release and dependent.owner.kind == "HelmRelease":
            if needed.name not in graph.releases_before(release.name):
                message = f"installs {dependent}, and does not wait for {needed}"
                yield problem(release, message, "spec", "releaseName")
            continue
        early.setdefault((applier, bringer), (dependent, needed))
    for (applier, bringer), (dependent, needed) in early.items():
        # Whoever waits for one that is early is early only by that.
        if any((other, bringer) in early for other in graph.before(applier)):
            continue
        by = graph.kustomizations.get(applier)
        message = f"{dependent} needs {needed}, which {bringer} brings at no fixed time"
        yield problem(by, message, "spec", "dependsOn") if by else problem(dependent, message)


def _needs(environment: Environment) -> Iterator[tuple[Object, Object]]:
    """Each object with each other object that must be there before it; a CRD's by its release."""
    charts = {chart(release): release for release in environment.of("HelmRelease")}
    for item in environment.objects:
        for name in (item.namespace, text(item.value, "spec", "targetNamespace")):
            if namespace := environment.find("Namespace", name):
                yield item, namespace
        for brings in _CRDS.get(item.group, ()):
            if brings in charts:
                yield item, charts[brings]
                break
    yield from _gateways_of_routes(environment)
    for subject in pods(environment):
        for volume in items(subject.spec, "volumes"):
            name = text(volume, "persistentVolumeClaim", "claimName")
            claim = environment.find("PersistentVolumeClaim", name, subject.owner.namespace)
            if claim:
                yield subject.owner, claim


def _gateways_of_routes(environment: Environment) -> Iterator[tuple[Object, Object]]:
    for route in environment.of("HTTPRoute", "GRPCRoute"):
        for parent in items(route.value, "spec", "parentRefs"):
            namespace = text(parent, "namespace") or route.namespace
            if gateway := environment.find("Gateway", text(parent, "name"), namespace):
                yield route, gateway


@rule(
    "flux/settings",
    why="without them a failure shows late and is tried again even later, and what Git no longer "
    "has stays in the cluster",
    fix="set interval, retryInterval and timeout, and prune: true",
    references=("Flux audit: retryInterval, timeout, prune",),
    kinds=("Kustomization",),
)
def settings(item: Object) -> Iterator[Problem]:
    usual = {"interval": "10m", "retryInterval": "1m", "timeout": None, "prune": True}
    for key, setting in usual.items():
        if item.group == KUSTOMIZE and not item.dig("spec", key):
            yield problem(item, f"has no {key}", "spec", key, to=setting)


@rule(
    "flux/timeouts-nest",
    why="a Kustomization that gives up before its releases are done reports a failure that is none",
    fix="raise the Kustomization's timeout above that of its releases, one after the other where "
    "one depends on the next; a release takes its hooks' time and its rollout's",
)
def timeouts_nest(environment: Environment) -> Iterator[Problem]:
    for name, item in Graph(environment).kustomizations.items():
        releases = {
            each.name: each for each in environment.of("HelmRelease") if each.owner.name == name
        }
        took = {each: _release_seconds(environment, release) for each, release in releases.items()}
        needed = max((_after(each, releases, took, ()) for each in releases), default=0)
        limit = seconds(item.dig("spec", "timeout"), 0)
        if item.dig("spec", "wait") is True and limit < needed:
            message = f"gives up after {limit:g} s, its releases may take {needed:g} s"
            minutes = math.ceil(needed / 60)
            yield problem(item, message, "spec", "timeout", to=f"{minutes}m")


def _release_seconds(environment: Environment, release: Object) -> float:
    """Seconds that a release may take: its hooks' Jobs and then its rollouts."""
    workloads = [
        each for each in environment.of("Job", "Deployment") if each.owner.name == release.name
    ]
    took = sum(duration(environment, each) for each in workloads)
    return max(seconds(release.dig("spec", "timeout"), HELM_TIMEOUT), took)


def _after(
    name: str, releases: dict[str, Object], took: dict[str, float], above: tuple[str, ...]
) -> float:
    """Seconds until a release is ready, with those of its Kustomization that it waits for."""
    if name in above or name not in releases:
        return 0
    needed = [text(each, "name") for each in items(releases[name].value, "spec", "dependsOn")]
    before = [_after(each, releases, took, (*above, name)) for each in needed]
    return max(before, default=0) + took[name]


@rule(
    "flux/suspended",
    why="a suspended object ignores Git until somebody remembers",
    fix="remove suspend",
)
def no_suspension(environment: Environment) -> Iterator[Problem]:
    for item in environment.objects:
        if item.group.endswith("toolkit.fluxcd.io") and item.dig("spec", "suspend") is True:
            yield problem(item, "is suspended", "spec", "suspend", to=REMOVED)
