"""References: what an object names is there, in the namespace where it is looked for."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import dig, items, text
from harness.policy.pods import pods
from harness.policy.rule import problem, rule
from harness.render.objects import Object, stem
from harness.render.rendered import Environment

_FLUX = ("Kustomization", "HelmRelease")
_VOLUMES: dict[str, tuple[str, str]] = {
    "ConfigMap": ("configMap", "name"),
    "Secret": ("secret", "secretName"),
    "PersistentVolumeClaim": ("persistentVolumeClaim", "claimName"),
}


@rule(
    "references/pod",
    why="a pod that names a ConfigMap, Secret, claim or priority class which is not there never "
    "starts; the reason stands in its events alone",
    fix="correct the name, or add the object",
)
def of_pods(environment: Environment) -> Iterator[Problem]:
    for subject in pods(environment):
        for index, volume in enumerate(items(subject.spec, "volumes")):
            for kind, path in _VOLUMES.items():
                name = text(volume, *path)
                required = name and dig(volume, path[0], "optional") is not True
                if required and not environment.find(kind, name, subject.owner.namespace):
                    yield subject.problem(f"there is no {kind} {name}", "volumes", index, *path)
        name = text(subject.spec, "priorityClassName")
        built_in = name.startswith("system-") or not name
        if not built_in and not environment.find("PriorityClass", name):
            yield subject.problem(f"there is no PriorityClass {name}", "priorityClassName")


@rule(
    "references/watch-label",
    why="Flux would notice a changed value only at its next interval, an hour later",
    fix='label the ConfigMap reconcile.fluxcd.io/watch: "Enabled"',
    references=("Flux audit: watch label",),
)
def watch_label(environment: Environment) -> Iterator[Problem]:
    for source in _sources(environment).values():
        is_watched = source.labels.get("reconcile.fluxcd.io/watch") == "Enabled"
        if not is_watched and source.stem == source.name:
            yield problem(source, "Flux does not watch it for changes", "metadata", "labels")


@rule(
    "references/by-content",
    why="of a commit that changes both, Flux sees the values before the release or the other way "
    "round: an upgrade of half the commit rolls every pod, and may never get Ready",
    fix="let kustomize name the ConfigMap by its content (no disableNameSuffixHash), and list "
    "base/namereference.yaml under configurations",
)
def by_content(environment: Environment) -> Iterator[Problem]:
    for release in environment.of("HelmRelease"):
        for index, source in enumerate(items(release.value, "spec", "valuesFrom")):
            name = text(source, "name")
            if stem(name) == name:
                message = f"{name} keeps its name when its values change"
                yield problem(release, message, "spec", "valuesFrom", index, "name")


@rule(
    "references/not-substituted",
    why="postBuild turns `$$X$$` into `$X$` inside config.properties, which is TorchServe's own "
    "placeholder form",
    fix="annotate the ConfigMap kustomize.toolkit.fluxcd.io/substitute: disabled and read it with "
    "`literal: true`",
)
def no_substitution(environment: Environment) -> Iterator[Problem]:
    for release in environment.of("HelmRelease"):
        for index, source in enumerate(items(release.value, "spec", "valuesFrom")):
            values = environment.find(text(source, "kind"), text(source, "name"), release.namespace)
            if not text(source, "targetPath") or not values:
                continue
            if dig(source, "literal") is not True:
                message = "parses the value like --set: commas and braces break it"
                yield problem(release, message, "spec", "valuesFrom", index)
            if values.annotations.get("kustomize.toolkit.fluxcd.io/substitute") != "disabled":
                yield problem(values, "Flux substitutes inside it", "metadata", "annotations")


@rule(
    "references/alert",
    why="an Alert that names a provider or an object which is not there tells nobody anything, and "
    "what waits for a sync, such as the load test, never runs",
    fix="correct the name; everything that Flux refers to lives in flux-system",
    references=("Flux audit: alerts",),
)
def of_alerts(environment: Environment) -> Iterator[Problem]:
    for alert in environment.of("Alert"):
        provider = text(alert.value, "spec", "providerRef", "name")
        if not environment.find("Provider", provider, alert.namespace):
            yield problem(alert, f"there is no Provider {provider}", "spec", "providerRef", "name")
        for index, source in enumerate(items(alert.value, "spec", "eventSources")):
            kind, name = text(source, "kind"), text(source, "name")
            namespace = text(source, "namespace") or alert.namespace
            if name != "*" and not environment.find(kind, name, namespace):
                message = f"there is no {kind} {name}"
                yield problem(alert, message, "spec", "eventSources", index, "name")


def _sources(environment: Environment) -> dict[str, Object]:
    sources = {}
    for item in environment.of(*_FLUX):
        for path in (("spec", "valuesFrom"), ("spec", "postBuild", "substituteFrom")):
            for source in items(item.value, *path):
                name = text(source, "name")
                if item_source := environment.find(text(source, "kind"), name, item.namespace):
                    sources[str(item_source)] = item_source
    return sources
