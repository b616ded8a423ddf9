"""Flux's own objects: their order, their patches, and what their references lack."""

import difflib
from collections.abc import Iterable
from pathlib import Path

from harness.core.errors import InputError
from harness.core.fix import NOTHING, REMOVED, set_at
from harness.core.problem import Problem
from harness.core.values import KeyPath, items, text
from harness.core.yamlfile import Document, parse_block
from harness.render.objects import Object
from harness.render.tree import Tree


def by_dependency(flux: Iterable[Object]) -> list[Object]:
    """Kustomizations with everything after what it depends on; a circle keeps its order."""
    named = {each.name: each for each in flux}

    def depth(name: str, above: frozenset[str]) -> int:
        if name in above or name not in named:
            return 0
        needed = items(named[name].value, "spec", "dependsOn")
        below = [depth(text(each, "name"), above | {name}) for each in needed]
        return 1 + max(below, default=0)

    return sorted(named.values(), key=lambda each: depth(each.name, frozenset()))


def patches(flux: Object) -> list[Document]:
    """The patches of a Flux Kustomization, as YAML."""
    where = ("spec", "patches")
    return [
        document
        for index, patch in enumerate(items(flux.value, *where))
        for document in parse_block(text(patch, "patch"), flux.at(*where, index, "patch"))
    ]


def no_folder(tree: Tree, flux: Object, folder: str) -> InputError:
    """The error of a path that leads nowhere; its fix is the folder that was probably meant."""
    at = flux.at("spec", "path")
    beside = (tree.root / folder).parent
    names = [each.name for each in beside.iterdir() if each.is_dir()] if beside.is_dir() else []
    near = difflib.get_close_matches(Path(folder).name, names, n=1)
    fix = set_at(at, f"./{Path(folder).parent / near[0]}") if near else NOTHING
    return InputError.of([Problem(f"{folder} does not exist", at, fix=fix)])


def no_source(user: Object, path: KeyPath, objects: Iterable[Object]) -> InputError:
    """The error of a sourceRef that names nothing, or something of another namespace.

    Args:
        user: the object that names the source.
        path: where it does.
        objects: what there is.
    """
    kind, name = text(user.value, *path, "kind"), text(user.value, *path, "name")
    others = {each.namespace for each in objects if (each.kind, each.name) == (kind, name)}
    elsewhere = f"; it is in {', '.join(sorted(others))}" if others else ""
    message = f"{kind}/{user.namespace}/{name} not found{elsewhere}"
    at = user.at("metadata", "namespace") if others else user.at(*path, "name")
    fix = set_at(at, min(others)) if len(others) == 1 else NOTHING
    if at.field and at.field.keys == ("namespace",):  # a kustomization file moved it
        fix = set_at(at, REMOVED)
    return InputError.of([Problem(message, at, fix=fix)])
