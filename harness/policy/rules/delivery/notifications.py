"""What Flux tells, and who may tell Flux: alerts that say something, receivers that know whom."""

import difflib
import re
from collections.abc import Iterator, Mapping

from harness.core.problem import Problem
from harness.core.values import KeyPath, items, mapping, text
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

# A Receiver of this type identifies callers by the tokens of an issuer (spec.oidcProviders).
_OIDC = "generic-oidc"
_ALIKE = 0.75  # of two events: one is the other, misspelt
# The root sync makes one of each, which no file shows.
_OF_THE_ROOT = ("GitRepository", "Kustomization")


@rule(
    "notifications/receiver-secret",
    why="the secret is in the path of a Receiver and verifies who calls: without one it does not "
    "work, or anyone who reaches it lets Flux fetch and reconcile",
    fix="name a Secret with the key `token` in spec.secretRef, encrypted by SOPS (docs/secrets.md)",
    kinds=("Receiver",),
)
def receiver_has_secret(receiver: Object) -> Iterator[Problem]:
    if text(receiver.value, "spec", "type") == _OIDC:
        if not items(receiver.value, "spec", "oidcProviders"):
            yield problem(receiver, "names no issuer of its callers' tokens", "spec", "type")
    elif not text(receiver.value, "spec", "secretRef", "name"):
        yield problem(receiver, "has no secret that its callers know", "spec")


# Of GitHub's, those that a push or a release brings; it has some sixty.
_EVENTS = {"create", "delete", "ping", "pull_request", "push", "release", "workflow_run"}


@rule(
    "notifications/receiver-events",
    why="a receiver leaves out what is not among its events: of a name that is misspelt Flux never "
    "hears, and looks for commits once a minute as before",
    fix="the forge's own names: ping and push",
)
def receiver_events(environment: Environment) -> Iterator[Problem]:
    for receiver in environment.of("Receiver"):
        for index, event in enumerate(items(receiver.value, "spec", "events")):
            near = difflib.get_close_matches(str(event), sorted(_EVENTS), 1, _ALIKE)
            if text(receiver.value, "spec", "type") == "github" and near and event not in _EVENTS:
                message = f"GitHub has no event {event}; {near[0]} is meant?"
                yield problem(receiver, message, "spec", "events", index, to=near[0])


@rule(
    "notifications/alert-selects",
    why="an Alert that fits no object and no event tells nobody, and nothing says so",
    fix="name objects that there are, and patterns of messages that Flux writes",
    references=("Flux audit: alerts",),
)
def alerts_select(environment: Environment) -> Iterator[Problem]:
    for alert in environment.of("Alert"):
        for index, source in enumerate(items(alert.value, "spec", "eventSources")):
            # What is named, and is not there, is references/exists' to say.
            if text(source, "name") == "*" and not _chosen(environment, alert, source):
                where: KeyPath = ("spec", "eventSources", index)
                labels = mapping(source, "matchLabels")
                with_labels = f" with the labels {_shown(labels)}" if labels else ""
                message = f"there is no {text(source, 'kind')}{with_labels}"
                yield problem(alert, message, *where, "matchLabels" if labels else "kind")
        yield from _patterns(alert)


def _chosen(environment: Environment, alert: Object, source: object) -> bool:
    namespace = text(source, "namespace") or alert.namespace
    labels = mapping(source, "matchLabels")
    if text(source, "kind") in _OF_THE_ROOT and not labels:
        return True
    return any(
        each.namespace == namespace and labels.items() <= each.labels.items()
        for each in environment.of(text(source, "kind"))
    )


def _shown(labels: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={label}" for name, label in labels.items())


def _patterns(alert: Object) -> Iterator[Problem]:
    """Patterns that exclude every message. What Go's syntax refuses, its controller reports."""
    for index, pattern in enumerate(items(alert.value, "spec", "exclusionList")):
        if re.fullmatch(r"\^?\(?\.[*+]\)?\$?", str(pattern)):
            message = f"{pattern} excludes every message"
            yield problem(alert, message, "spec", "exclusionList", index)
