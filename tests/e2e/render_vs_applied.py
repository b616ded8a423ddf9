"""Compares what `harness render` says Flux will apply with what Flux did apply.

Two sides of each object are looked at. What the server holds has to have every rendered field,
as the server writes it. And the fields that Flux's controllers own by server-side apply have to
be the rendered ones, no more and no fewer, but for the labels that mark ownership.
"""

import base64
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from harness.core.repository import Repository
from harness.core.values import KeyPath, Value, dig, items, mapping, text
from harness.core.yamlfile import ManifestLoader
from harness.kubernetes import kinds
from harness.kubernetes.api import Api, Kind
from harness.render.objects import Object
from harness.render.rendered import Environment
from harness.render.renderer import Renderer

_OWNERSHIP = re.compile(r"^(kustomize|helm)\.toolkit\.fluxcd\.io/(name|namespace)$")
_MANAGERS = ("kustomize-controller", "helm-controller", "helm")
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def render(repository: Repository, tree: Path, env: str) -> Environment:
    """Render a laid-out commit with the tools that the checkout has built."""
    build = tree / "build"
    if not build.exists():
        build.symlink_to(repository.build)
    return Renderer(Repository(tree)).candidate(env)


def differences(cluster: Api, rendered: Environment) -> Iterator[str]:
    """Everything in which the two do not agree, a line each."""
    yield from (f"{fault.object}: {fault.message}" for fault in rendered.faults)
    applied = dict(_applied_objects(cluster))
    hooks = dict(_hooks(cluster))
    expected = {_name(each.value): each for each in rendered.objects}
    for name in sorted(expected.keys() - applied.keys() - hooks.keys()):
        yield f"{name} was rendered and not applied"
    for name in sorted((applied.keys() | hooks.keys()) - expected.keys()):
        yield f"{name} was applied and not rendered"
    for name, each in expected.items():
        if name in applied:
            yield from _compare_object(name, each, applied[name])
        elif name in hooks:
            yield from (
                f"{name}: {difference}" for difference in _lacks(each.value, hooks[name], ())
            )


def _compare_object(name: str, rendered: Object, live: Value) -> Iterator[str]:
    yield from (f"{name}: {difference}" for difference in _lacks(rendered.value, live, ()))
    for path in _owned_paths(live):
        empty = isinstance(dig(live, *path), Mapping)  # owned, with nothing of theirs in it
        if dig(rendered.value, *path) is None and not empty and not _is_explained(path):
            yield f"{name}: Flux owns {'.'.join(map(str, path))}, which was not rendered"


def _applied_objects(cluster: Api) -> Iterator[tuple[str, Value]]:
    """What the inventories of Kustomizations and the manifests of releases name, as it is."""
    for kustomization in cluster.list_all(kinds.KUSTOMIZATION):
        for entry in items(kustomization, "status", "inventory", "entries"):
            namespace, name, group, kind = text(entry, "id").split("_")
            version = text(entry, "v")
            which = Kind(f"{group}/{version}" if group else version, kind)
            live = cluster.get(which, name.replace("__", ":"), namespace)
            yield _name(live or {}), live or {}
    for release in _releases(cluster):
        for value in yaml.load_all(text(release, "manifest"), Loader=ManifestLoader):
            if value:
                which = Kind(text(value, "apiVersion"), text(value, "kind"))
                namespace = text(value, "metadata", "namespace") or text(release, "namespace")
                live = cluster.get(which, text(value, "metadata", "name"), namespace)
                yield _name(live or {}), live or {}


def _hooks(cluster: Api) -> Iterator[tuple[str, Value]]:
    """Hooks as the release keeps them: the objects themselves go when they have done their work."""
    for release in _releases(cluster):
        for hook in items(release, "hooks"):
            value = yaml.safe_load(text(hook, "manifest"))
            metadata = {"namespace": text(release, "namespace"), **value["metadata"]}
            value = {**value, "metadata": metadata}
            yield _name(value), value


def _releases(cluster: Api) -> Iterator[Value]:
    """The newest deployed release of each HelmRelease, from Helm's own storage."""
    for secret in cluster.list_all(kinds.SECRET, labels="owner=helm,status=deployed"):
        packed = base64.b64decode(base64.b64decode(text(secret, "data", "release")))
        yield json.loads(gzip.decompress(packed))


def _lacks(expected: object, actual: object, path: KeyPath) -> Iterator[str]:
    """Rendered fields that the server does not hold as they were rendered."""
    if isinstance(expected, Mapping):
        for key, value in expected.items():
            yield from _lacks(value, dig(actual, key), (*path, key))
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, (mine, its) in enumerate(zip(expected, actual, strict=True)):
            yield from _lacks(mine, its, (*path, index))
    elif not _same(expected, actual):
        yield f"{'.'.join(map(str, path))} is {actual!r}, was rendered as {expected!r}"


def _same(expected: object, actual: object) -> bool:
    if expected == actual or (actual is None and expected in (None, "", {}, [], False, 0)):
        return True
    amounts = _quantity(expected), _quantity(actual)
    return amounts[0] is not None and amounts[0] == amounts[1]


def _quantity(value: object) -> float | None:
    """A quantity as a number: the server writes 1000m as 1."""
    match = re.fullmatch(r"([0-9.]+)(m|[KMGT]i)?", str(value))
    if not match:
        return None
    factor = 0.001 if match[2] == "m" else _BINARY.get(match[2] or "", 1)
    return float(match[1]) * factor


def _owned_paths(live: Value) -> Iterator[KeyPath]:
    """The paths of fields that Flux's controllers own."""
    for entry in items(live, "metadata", "managedFields"):
        if text(entry, "manager") in _MANAGERS and not text(entry, "subresource"):
            yield from _paths(mapping(entry, "fieldsV1"), live, ())


def _paths(fields: Value, actual: object, path: KeyPath) -> Iterator[KeyPath]:
    below = {key: mapping(value) for key, value in fields.items() if key != "."}
    if not below and path:
        yield path
    for key, inner in below.items():
        if key.startswith("f:"):
            name = key[2:]
            yield from _paths(inner, dig(actual, name), (*path, name))
        elif key.startswith("k:") and isinstance(actual, list):
            match = json.loads(key[2:])
            for index, item in enumerate(actual):
                if all(dig(item, one) == value for one, value in match.items()):
                    yield from _paths(inner, item, (*path, index))


def _is_explained(path: KeyPath) -> bool:
    """Fields that Flux and Helm add themselves: marks of ownership."""
    last = str(path[-1])
    return bool(_OWNERSHIP.match(last)) or last.startswith(("meta.helm.sh/", "helm.sh/"))


def _name(value: Value) -> str:
    parts = (
        text(value, "kind"),
        text(value, "metadata", "namespace"),
        text(value, "metadata", "name"),
    )
    return "/".join(filter(None, parts))
