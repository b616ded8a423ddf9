"""Kustomize, the other way round: files that nobody lists, patches and images that fit nothing."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import InputError
from harness.core.fix import APPEND, NOTHING, Fix, set_at
from harness.core.problem import Location, Problem
from harness.core.values import KeyPath, Value, items, mapping, text
from harness.core.yamlfile import Document
from harness.policy.facts.graph import KUSTOMIZE
from harness.policy.project import Project
from harness.policy.rule import problem, rule
from harness.render import patch_target
from harness.render.objects import Object
from harness.render.provenance import FromKustomize
from harness.render.rendered import Environment
from harness.render.tree import KUSTOMIZATION_NAMES, Tree

_FOLDERS = ("apps", "clusters", "infra")
_NO_OBJECTS = ("eksctl.io/", "kustomize.config.k8s.io/")  # read by other programs than Flux


@rule(
    "kustomize/unlisted",
    why="Flux applies what a kustomization.yaml lists: a manifest next to it that no line names is "
    "never applied, without any error",
    fix="list it under `resources` or `patches` of the kustomization.yaml next to it, or remove it",
)
def manifests_are_listed(project: Project) -> Iterator[Problem]:
    tree = project.tree
    manifests, listed, charts = _files(tree)
    for path in manifests:
        if path not in listed and not path.startswith(charts):
            documents = _documents(tree, path)
            if any(map(_is_manifest, documents)):
                message = "no kustomization.yaml lists it: Flux never applies it"
                fix = _listing(project, tree, path, documents)
                yield Problem(message, documents[0].at(("metadata", "name")), fix=fix)


def _files(tree: Tree) -> tuple[list[str], set[str], tuple[str, ...]]:
    """The YAML files of the folders that Flux reads, those that are listed, and charts' folders."""
    manifests, folders, charts = [], [], []
    for top in _FOLDERS:
        for parent, _, names in os.walk(tree.root / top):
            folder = str(Path(parent).relative_to(tree.root))
            charts += [f"{folder}/"] if "Chart.yaml" in names else []
            folders += [folder] if set(names) & set(KUSTOMIZATION_NAMES) else []
            manifests += [f"{folder}/{name}" for name in names if name.endswith((".yaml", ".yml"))]
    listed: set[str] = set()
    for folder in folders:
        beside = [each for each in manifests if each.startswith(f"{folder}/")]
        try:
            listed.update(tree.closure(folder) if _is_whole(tree, folder) else beside)
        except InputError:  # it does not render: that is reported
            listed.update(beside)
    return sorted(manifests), listed, tuple(charts)


def _is_whole(tree: Tree, folder: str) -> bool:
    """Whether everything that a folder lists is there: else a file may be listed, misspelt."""
    names = [
        str(name)
        for parsed in tree.documents(tree.kustomization(folder))
        for key in ("resources", "components")
        for name in items(parsed.value, key)
    ]
    return all((tree.root / folder / name).exists() for name in names)


def _documents(tree: Tree, path: str) -> list[Document]:
    try:
        return tree.documents(path)
    except InputError:  # yaml/unreadable says so
        return []


def _is_manifest(parsed: Document) -> bool:
    """Whether a document is an object of Kubernetes, or a JSON patch of one."""
    api_version, kind = text(parsed.value, "apiVersion"), text(parsed.value, "kind")
    patch = isinstance(parsed.value, list) and text(parsed.value, 0, "op")
    return bool(patch or (api_version and kind and not api_version.startswith(_NO_OBJECTS)))


def _listing(project: Project, tree: Tree, path: str, documents: list[Document]) -> Fix:
    """The line that lists a new manifest; none where it may be a patch, or has to be encrypted."""
    folder, _, name = path.rpartition("/")
    file = f"{folder}/kustomization.yaml"
    known = {
        (each.kind, each.name)
        for environment in project.environments.values()
        for each in environment.objects
    }
    is_new = all(
        (text(each.value, "kind"), text(each.value, "metadata", "name")) not in known
        and text(each.value, "kind") not in ("", "Secret")
        for each in documents
    )
    for parsed in _documents(tree, file) if is_new else ():
        if items(parsed.value, "resources"):
            return set_at(parsed.at(("resources", APPEND)), name)
    return NOTHING


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A patch's target, or an image's name: where it is written, and whether anything fits it."""

    location: Location
    what: str
    fits: bool


@rule(
    "kustomize/matches",
    why="a patch or an image that fits no object changes nothing, and whoever wrote it believes "
    "that it did",
    fix="correct the target, or remove the patch; the image of a HelmRelease is among its values",
)
def patterns_fit(project: Project) -> Iterator[Problem]:
    fitting: dict[tuple[Location, str], bool] = {}
    for environment in project.environments.values():
        for pattern in _patterns(environment):
            # What several builds share has to fit in one of them.
            key = (pattern.location, pattern.what)
            fitting[key] = fitting.get(key, False) or pattern.fits
    for (location, what), fits in fitting.items():
        if not fits:
            yield Problem(what, location)
    for environment in project.environments.values():
        yield from _of_flux(environment)


def _patterns(environment: Environment) -> Iterator[_Pattern]:
    builds: dict[tuple[str, ...], list[Object]] = {}
    for each in environment.objects:
        if isinstance(each.trace, FromKustomize):
            builds.setdefault(each.trace.read, []).append(each)
    for read, objects in builds.items():
        trace = objects[0].trace
        if isinstance(trace, FromKustomize):
            parsed = [doc for file in read for doc in _documents(trace.tree, file)]
            population = [
                *(mapping(doc.value) for doc in parsed),
                *(each.value for each in objects),
            ]
            for doc in parsed:
                if text(doc.value, "apiVersion").startswith("kustomize.config.k8s.io/"):
                    yield from _of_mapping(doc, mapping(doc.value), population)


def _of_mapping(doc: Document, spec: Value, population: list[Value]) -> Iterator[_Pattern]:
    for index, patch in enumerate(items(spec, "patches")):
        target = mapping(patch, "target")
        if target:
            fits = any(patch_target.fits(target, each) for each in population)
            where: KeyPath = ("patches", index, "target", _telling(target, population))
            yield _Pattern(doc.at(where), f"the patch fits no {_describe(target)}", fits)
    listed = items(spec, "images")
    images = {name for each in population for name in _images(each)} if listed else set()
    for index, image in enumerate(listed):
        names = {text(image, "name"), text(image, "newName")} - {""}
        message = f"no container has the image {text(image, 'name')}"
        yield _Pattern(doc.at(("images", index, "name")), message, bool(names & images))
    scaled = {
        text(each, "metadata", "name")
        for each in population
        if text(each, "kind")
        in ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController")
    }
    for index, entry in enumerate(items(spec, "replicas")):
        name = text(entry, "name")
        message = f"no Deployment or StatefulSet is called {name}"
        yield _Pattern(doc.at(("replicas", index, "name")), message, name in scaled)


def _telling(target: Value, population: list[Value]) -> str:
    """The key of a target that is to blame: the first without which something would fit."""
    for key in ("namespace", "name", "version", "group", "kind", "labelSelector"):
        rest = {each: target[each] for each in target if each != key}
        if key in target and any(patch_target.fits(rest, each) for each in population):
            return key
    return next(iter(target), "")


def _describe(target: Value) -> str:
    kind = text(target, "kind") or "object"
    rest = [
        f"{key} {target[key]}" for key in ("name", "namespace", "labelSelector") if key in target
    ]
    return f"{kind} of {' and '.join(rest)}" if rest else kind


def _images(candidate: object) -> Iterator[str]:
    """The names of the images of every container in an object."""
    stack = [candidate]
    while stack:
        around = stack.pop()
        inner: Iterable[object] = around.values() if isinstance(around, dict) else ()
        stack.extend(each for each in inner if isinstance(each, dict | list))
        if isinstance(around, list):
            stack.extend(around)
        for key in ("containers", "initContainers"):
            for container in items(around, key):
                reference = text(container, "image").partition("@")[0]
                yield re.sub(r":[^/]*$", "", reference)


def _of_flux(environment: Environment) -> Iterator[Problem]:
    """Patches in Flux's own objects that fit nothing of what these apply, make or run."""
    for each in environment.of("FluxInstance", "Kustomization", "HelmRelease"):
        for where, population in _patch_lists(environment, each):
            for index, patch in enumerate(items(each.value, *where)):
                target = mapping(patch, "target")
                if not _fits_any(target, population):
                    message = f"the patch fits no {_describe(target)}"
                    key = _telling(target, population)
                    yield problem(each, message, *where, index, "target", key)


def _fits_any(target: Value, population: list[Value]) -> bool:
    """Whether a target is for one of these; a kind that none of them has is somebody else's."""
    kinds = {text(each, "kind") for each in population}
    is_other = text(target, "kind") not in kinds and kinds == {"Deployment"}
    return is_other or not target or any(patch_target.fits(target, each) for each in population)


def _patch_lists(environment: Environment, item: Object) -> Iterator[tuple[KeyPath, list[Value]]]:
    """Where an object has patches, each with what they are for."""
    owner = (item.kind, item.namespace, item.name)
    applied = [
        each.value
        for each in environment.objects
        if (each.owner.kind, each.owner.namespace, each.owner.name) == owner
    ]
    if item.kind == "FluxInstance":  # it runs a Deployment for each component
        yield (
            ("spec", "kustomize", "patches"),
            [
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "metadata": {"name": name, "namespace": item.namespace},
                }
                for name in items(item.value, "spec", "components")
            ],
        )
    elif item.kind == "Kustomization" and item.group == KUSTOMIZE and applied:
        yield ("spec", "patches"), applied
    elif item.kind == "HelmRelease" and applied:
        for index in range(len(items(item.value, "spec", "postRenderers"))):
            yield ("spec", "postRenderers", index, "kustomize", "patches"), applied
