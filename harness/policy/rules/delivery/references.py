"""References: what an object names is there, and what Flux reads arrives whole and at once."""

from collections.abc import Iterator

from harness.core.fix import advise
from harness.core.problem import Problem
from harness.core.values import dig, items, text
from harness.policy.facts.references import references
from harness.policy.finding import Severity
from harness.policy.rule import problem, rule
from harness.render.objects import Object, stem
from harness.render.rendered import Environment

_FLUX = ("Kustomization", "HelmRelease")


@rule(
    "references/exists",
    why="what names something that is not there waits for it or does nothing, without end: a pod "
    "never starts, a route answers nothing, a policy protects nothing, an Alert tells nobody",
    fix="correct the name (and namespace), or add the object",
    references=("Flux audit: references",),
    like=("kube-linter non-existent-service-account",),
)
def named_objects_exist(environment: Environment) -> Iterator[Problem]:
    for reference in references(environment):
        # A source that is missing cannot be rendered: that is reported already.
        is_rendered_from = reference.kind == "GitRepository" and reference.source.kind in _FLUX
        if reference.is_missing and not is_rendered_from:
            yield reference.problem()


@rule(
    "references/provided",
    why="nothing here makes it: where nobody makes it elsewhere either, a pod never starts, an "
    "image is not pulled, Flux does not log in, a route answers 500",
    fix="add the object (a Secret: encrypted), or say in clusters/<env>/site.yaml who has it: "
    "PROVIDED: KIND/NAMESPACE/NAME, KIND/NAME without a namespace, with spaces between",
    severity=Severity.WARNING,
)
def named_objects_are_provided(environment: Environment) -> Iterator[Problem]:
    for reference in references(environment):
        if reference.is_unknown:
            message = f"nothing here makes {reference.described}"
            advice = (
                f"add it, or in clusters/{environment.name}/site.yaml, where another one has it: "
            )
            advice += f"PROVIDED: {reference.described}"
            yield problem(reference.source, message, *reference.path, fix=advise(advice))


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
            is_there = environment.find(text(source, "kind"), name, release.namespace)
            # What may be missing and is not made here, changes by itself.
            if stem(name) == name and (is_there or dig(source, "optional") is not True):
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


def _sources(environment: Environment) -> dict[str, Object]:
    sources = {}
    for item in environment.of(*_FLUX):
        for path in (("spec", "valuesFrom"), ("spec", "postBuild", "substituteFrom")):
            for source in items(item.value, *path):
                name = text(source, "name")
                if item_source := environment.find(text(source, "kind"), name, item.namespace):
                    sources[str(item_source)] = item_source
    return sources
