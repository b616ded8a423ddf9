"""Helm's hooks: what a hook needs is there when it runs."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.policy.facts.quantity import number
from harness.policy.facts.references import references
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_HOOK, _WEIGHT = "helm.sh/hook", "helm.sh/hook-weight"
_BEFORE = {"pre-install", "pre-upgrade"}  # these run before anything that is not a hook


@rule(
    "helm/hook-order",
    why="a hook's pod waits for an account, settings or a claim that Helm makes after it, until "
    "the hook times out and the release fails",
    fix="make what a hook needs a hook of the same events, of a lower weight",
    references=("https://helm.sh/docs/topics/charts_hooks/",),
)
def hooks_find_what_they_name(environment: Environment) -> Iterator[Problem]:
    for reference in references(environment):
        target = reference.target
        events = _events(reference.source) & _BEFORE
        if not events or target is None or reference.is_optional:
            continue
        if target.owner == reference.source.owner:
            yield from _too_late(reference.source, target, events)


def _too_late(hook: Object, target: Object, events: set[str]) -> Iterator[Problem]:
    """Why what a hook names is not there yet."""
    target_events, weight = _events(target), _weight(hook)
    where = ("metadata", "annotations")
    if (
        not target_events and "pre-install" in events
    ):  # before an upgrade it is there from the release before
        yield problem(target, f"is not a hook, and comes after {hook}, which names it", "metadata")
    elif missing := sorted(events - target_events) if target_events else []:
        message = f"is not made at {' and '.join(missing)}, where {hook} names it"
        yield problem(target, message, *where, _HOOK)
    elif target_events and _weight(target) > weight:
        message = f"weight {_weight(target)} is after {hook}, which names it: {weight}"
        yield problem(target, message, *where, _WEIGHT, to=str(weight - 10))


def _events(subject: Object) -> set[str]:
    written = str(subject.annotations.get(_HOOK) or "")
    return {event.strip() for event in written.split(",")} - {""}


def _weight(subject: Object) -> int:
    return int(number(subject.annotations.get(_WEIGHT), 0))
