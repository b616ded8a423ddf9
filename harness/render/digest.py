"""The release digest: one name for all that an environment runs.

Two commits with the same digest run the same thing, so a commit that only touches documentation
does not destroy what was proved of the one before.
"""

import hashlib
import json
from collections.abc import Mapping

from harness.core.values import Value
from harness.render.objects import Object
from harness.render.rendered import Environment

_OWNERSHIP = ("kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/")
_POINTER = ("GitRepository", "release")  # says which commit runs, which is what is being named


def release_digest(environment: Environment) -> str:
    """SHA-256, in 64 hexadecimal digits, of the objects that Flux and Helm would apply, and of
    every file of their charts: what a template makes only of an upgrade is in no render.

    Left out: the labels by which Flux marks what it owns, and the ``ref`` of ``release``.
    """
    lines = [f"{chart} {content}" for chart, content in environment.chart_digests]
    return _sha256([*_objects(environment), *lines])


def objects_digest(environment: Environment) -> str:
    """The digest as it was before it covered the charts' files: older evidence names it."""
    return _sha256(_objects(environment))


def matches(environment: Environment, recorded: str) -> bool:
    """Whether a digest that was recorded, by either formula, names what an environment runs."""
    return recorded in (release_digest(environment), objects_digest(environment))


def _objects(environment: Environment) -> list[str]:
    return sorted(json.dumps(_content(each), sort_keys=True) for each in environment.objects)


def _sha256(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _content(item: Object) -> Value:
    without = "ref" if (item.kind, item.name) == _POINTER else None
    return {
        key: _metadata(value) if key == "metadata" else _without(value, without)
        for key, value in item.value.items()
    }


def _metadata(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    labels = value.get("labels")
    if not isinstance(labels, Mapping):
        return value
    ours = {key: each for key, each in labels.items() if not str(key).startswith(_OWNERSHIP)}
    return {**value, "labels": ours}


def _without(value: object, key: str | None) -> object:
    if key is None or not isinstance(value, Mapping):
        return value
    return {name: each for name, each in value.items() if name != key}
