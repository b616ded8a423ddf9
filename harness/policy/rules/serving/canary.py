"""Canaries: Flagger is there, owns the route alone, finds a group's own pods, asks for answers."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import items, mapping, text
from harness.policy.facts.graph import releases_of
from harness.policy.finding import Severity
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_FLAGGER = "flagger"
_SSA, _ONCE = "kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent"
_LABEL = "app.kubernetes.io/instance"
# What of a Canary a person wrote: the chart writes the rest.
_HOSTS = ("spec", "service", "hosts")


@rule(
    "canary/flagger",
    why="without Flagger its kinds are not there: the upgrade that brings a Canary fails and is "
    "rolled back",
    fix="list ../../../infra/canary under resources in apps/torchserve/<env>/kustomization.yaml; "
    "if something else installs Flagger, suppress this in exceptions.yaml",
    severity=Severity.WARNING,
)
def flagger(environment: Environment) -> Iterator[Problem]:
    if not releases_of(environment, _FLAGGER):
        for each in environment.of("Canary"):
            yield problem(each, "nothing here installs Flagger", *_HOSTS)


@rule(
    "canary/route",
    why="Flagger writes the whole HTTPRoute of a Canary, weights and all, and Flux leaves it alone "
    "only while Flagger's annotation kustomize.toolkit.fluxcd.io/reconcile: disabled is on it: "
    "without it, Flux writes Git's route over the weights",
    fix="canary: true in the group's serving.yaml, then `make snapshot`: Flux makes the route once "
    "and leaves it to Flagger (annotation kustomize.toolkit.fluxcd.io/ssa: IfNotPresent)",
    severity=Severity.WARNING,
)
def route(environment: Environment) -> Iterator[Problem]:
    owned = {(each.namespace, _route(each)): each for each in environment.of("Canary")}
    for each in environment.of("HTTPRoute"):
        owner = owned.get((each.namespace, each.name))
        if owner and text(each.value, "metadata", "annotations", _SSA) != _ONCE:
            yield problem(each, f"{owner} owns it, and Flux writes it too", "metadata", "name")


@rule(
    "canary/selector",
    why="Flagger's Services find pods by one label, which it changes on the primary: by another "
    "than app.kubernetes.io/instance they find Jobs, or every group's pods; and copies of "
    "ConfigMaps that are named by their content are never removed",
    fix="in the values of Flagger's chart: selectorLabels: app.kubernetes.io/instance, and "
    "configTracking.enabled: false",
)
def selector(environment: Environment) -> Iterator[Problem]:
    for release in releases_of(environment, _FLAGGER):
        values = mapping(release.value, "spec", "values")
        where = ("spec", "values")
        if text(values, "selectorLabels") != _LABEL:
            label = text(values, "selectorLabels") or "app, name or app.kubernetes.io/name"
            yield problem(release, f"finds pods by {label}", *where, "selectorLabels", to=_LABEL)
        if mapping(values, "configTracking").get("enabled") is not False:
            message = "copies each ConfigMap and Secret that a pod mounts"
            yield problem(release, message, *where, "configTracking", "enabled", to=False)


@rule(
    "canary/gate",
    why="metrics show slow and failing answers, not wrong ones: fast and wrong is promoted",
    fix="canary.gate in the group's values: the address of `harness canary gate` (docs/canary.md)",
    severity=Severity.WARNING,
)
def gate(environment: Environment) -> Iterator[Problem]:
    for each in environment.of("Canary"):
        if not items(each.value, "spec", "analysis", "webhooks"):
            yield problem(each, "nobody compares the canary's answers", *_HOSTS)


@rule(
    "canary/shadow",
    why="a route whose copies go to a Service that is not there is refused, or answers 500",
    fix="list ../../../infra/canary, which brings the Service shadow, and name it in "
    "canary.shadow.service (docs/canary.md)",
)
def shadow(environment: Environment) -> Iterator[Problem]:
    for each in environment.of("Canary"):
        for mirror in items(each.value, "spec", "service", "mirror"):
            name, namespace = (text(mirror, "backendRef", key) for key in ("name", "namespace"))
            if not environment.find("Service", name, namespace or each.namespace):
                yield problem(each, f"there is no Service {namespace}/{name} for copies", *_HOSTS)


def _route(canary: Object) -> str:
    """The name of the HTTPRoute and of the Services that Flagger writes for a Canary."""
    return text(canary.value, "spec", "service", "name") or text(
        canary.value, "spec", "targetRef", "name"
    )
