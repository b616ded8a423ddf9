"""Flagger's Canaries: whether the pods that serve are those that Git asks for.

    canary.state(each, deployments)   # ("reconciling", "Progressing, 25 percent of requests: …")

The Deployment that Helm writes has no pods between two changes; what serves is `<name>-primary`, to
which Flagger copies its template when it promotes. The phase alone does not tell: just after an
upgrade it is still that of the last change. So the templates are compared.
https://docs.flagger.app/usage/how-it-works
"""

from collections.abc import Sequence

from harness.core.values import Value, dig, items, mapping, text

_AT_REST = ("Initialized", "Succeeded")
_FAILED = "Failed"
_OF_FLAGGER = "flagger-id"  # an annotation of the primary's pods
# What Flagger writes otherwise for the primary: selectors of the pods themselves.
_REWRITES = ("affinity", "topologySpreadConstraints")


def state(canary: Value, deployments: Sequence[Value]) -> tuple[str, str]:
    """How a Canary is: ``ready``, ``reconciling`` or ``not ready``, and why it is not ready.

    Args:
        canary: as the API server has it.
        deployments: those of its namespace.
    """
    phase = text(canary, "status", "phase")
    message = next(
        (
            text(each, "message")
            for each in items(canary, "status", "conditions")
            if text(each, "type") == "Promoted"
        ),
        "",
    )
    weight = dig(canary, "status", "canaryWeight") or 0
    name = text(canary, "spec", "targetRef", "name")
    target, primary = (_template(deployments, each) for each in (name, f"{name}-primary"))
    if dig(canary, "spec", "suspend") and target != primary:
        return "not ready", f"suspended: {name}-primary does not get the pods of {name}"
    if phase == _FAILED:
        # handleFailedPromotion: of the two only the canary is healthy, and gets all requests.
        what = f"its promotion failed, {weight} percent of requests go to the canary"
        return "not ready", f"{what if weight else 'went back'}: {message}"
    if phase not in _AT_REST:
        return "reconciling", f"{phase or 'new'}, {weight} percent of requests: {message}"
    if target != primary:
        return "reconciling", f"{name}-primary does not have the pods of {name} yet"
    return "ready", ""


def _template(deployments: Sequence[Value], name: str) -> tuple[Value, Value]:
    """What a Deployment's pods are: their spec and their annotations, as far as Git says them."""
    for each in deployments:
        if text(each, "metadata", "name") == name:
            spec = mapping(each, "spec", "template", "spec")
            notes = mapping(each, "spec", "template", "metadata", "annotations")
            return (
                {key: part for key, part in spec.items() if key not in _REWRITES},
                {key: note for key, note in notes.items() if key != _OF_FLAGGER},
            )
    return {}, {}
