"""What kustomize refuses, as problems of the lines that a person wrote.

kustomize says its sentence about the folder that it builds. Each kind of sentence is looked up here
in the files of the build: the entry, patch, operation or object that it is about.
The sentences are those of sigs.k8s.io/kustomize/api v0.20 (krusty, resmap, target, builtins).
"""

import difflib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.core.errors import InputError
from harness.core.fix import APPEND, NOTHING, REMOVED, Fix, advise, flow, set_at
from harness.core.problem import Location, Problem
from harness.core.suggest import did_you_mean
from harness.core.values import KeyPath, dig, items, mapping, text
from harness.core.yamlfile import Document
from harness.render.kustomization_files import Build
from harness.render.tree import KUSTOMIZATION_NAMES, Tree

# https://github.com/kubernetes-sigs/kustomize/blob/master/api/types/kustomization.go
_KEYS = (
    *("apiVersion", "kind", "metadata", "openapi", "namePrefix", "nameSuffix", "namespace"),
    *("labels", "commonLabels", "commonAnnotations", "patches", "patchesJson6902", "vars"),
    *("patchesStrategicMerge", "images", "replicas", "replacements", "resources", "components"),
    *("crds", "configMapGenerator", "secretGenerator", "generatorOptions", "configurations"),
    *("generators", "transformers", "validators", "buildMetadata", "sortOptions", "helmCharts"),
)
_GO_TYPES = {
    "string": "text",
    "bool": "true or false",
    "int": "a whole number",
    "int64": "a number",
}
_CHAIN = re.compile(
    r"accumulat\w+ (?:resources|components)(?: from '[^']*')?: |accumulation err='|"
    r"recursed (?:accumulation of|merging from) path '[^']*': |"
    r"(?:merging|accumulating) resources from '[^']*': |': must build at directory: .*|"
    r"read \S+: is a directory'?: "
)


def explain(
    message: str, tree: Tree, files: Sequence[str], folder: str, patches: Sequence[Document]
) -> list[Problem]:
    """The problems behind an error of kustomize.

    Args:
        message: what it said.
        tree: the files that it built from.
        files: those that it read, overlays before their bases.
        folder: what it was asked to build; the place of what cannot be found in a file.
        patches: those of the Flux Kustomization that applies the folder.
    """
    build = Build(tree, files, patches)
    for pattern, find in _KINDS:
        match = re.search(pattern, message, re.DOTALL)
        if match and (problems := list(find(build, match))):
            return problems
    plain = " ".join(_CHAIN.sub("", message).split()).rstrip("'")
    at = Location(Path(tree.kustomization(folder)), 1)
    return [Problem(f"kustomize does not build it: {plain}", at)]


def _missing_files(build: Build, _: re.Match[str]) -> Iterator[Problem]:
    listed = {build.tree.root / file for *_, file in build.references()}
    for parsed, keys, file in build.references():
        if not os.path.lexists(build.tree.root / file) and "://" not in text(parsed.value, *keys):
            at = parsed.at(keys)
            around = build.tree.root / Path(file).parent
            beside = sorted(around.iterdir()) if around.is_dir() else []
            free = [each.name for each in beside if each not in listed]
            name = str(dig(parsed.value, *keys))
            close = difflib.get_close_matches(Path(file).name, free, n=1)
            near = [
                *(name.removesuffix(Path(file).name) + each for each in close),
                *(each for each in (f"../{name}", name.removeprefix("../")) if each != name),
            ]
            existing = [
                each for each in near if (build.tree.root / parsed.path.parent / each).exists()
            ]
            fix = (
                set_at(at, existing[0]) if existing else advise("correct it, or take the line out")
            )
            yield Problem(f"{file} does not exist", at, fix=fix)


def _folders(build: Build, _: re.Match[str]) -> Iterator[Problem]:
    for parsed, keys, file in build.references():
        folder = build.tree.root / file
        if folder.is_dir() and not any((folder / each).is_file() for each in KUSTOMIZATION_NAMES):
            inside = sorted(each.name for each in folder.glob("*.y*ml"))
            at = parsed.at(keys)
            fix = advise("write one that lists its files, or list the files here")
            if len(inside) == 1:
                fix = set_at(at, f"{dig(parsed.value, *keys)}/{inside[0]}".replace("//", "/"))
            yield Problem(f"{file} has no kustomization.yaml", at, fix=fix)


def _no_component(build: Build, match: re.Match[str]) -> Iterator[Problem]:
    folder, kind = match.groups()
    right = "components" if kind == "Component" else "resources"
    for parsed, keys, file in build.references():
        if file and folder.endswith(file) and keys[0] != right:
            at, name = parsed.at(keys), dig(parsed.value, *keys)
            fix = set_at(parsed.at((right, APPEND)), name) + set_at(at, REMOVED)
            yield Problem(f"{file} is a {kind}, which belongs under {right}", at, fix=fix)


def _twice(build: Build, match: re.Match[str]) -> Iterator[Problem]:
    """An object that comes a second time: by a second entry, or in a second document."""
    first: dict[str, Location] = {}
    for parsed, keys, file in build.references():
        if keys[0] == "resources" and file in first:
            at = parsed.at(keys)
            message = f"{file} is listed in {first[file]} too"
            yield Problem(message, at, fix=set_at(at, REMOVED))
            return
        first[file] = parsed.at(keys)
    kind, name, namespace = _identity(match)
    same = [
        each
        for each in build.objects(kind)
        if text(each.value, "metadata", "name") == name and not build.is_patch(each)
    ]
    if len(same) > 1:
        # The later one in the order of the build is the one that was added.
        order = {file: number for number, (*_, file) in enumerate(build.references())}
        *_, one, two = sorted(same, key=lambda each: order.get(str(each.path), -1))
        who = "/".join(filter(None, (kind, namespace, name)))
        at = two.at(("metadata", "name"))
        message = f"{who} is in {one.at(('metadata', 'name'))} too"
        yield Problem(message, at, fix=advise("give one of the two another name, or remove it"))


def _no_target(build: Build, match: re.Match[str]) -> Iterator[Problem]:
    """A strategic merge patch of an object that is not there."""
    kind, name, namespace = _identity(match)
    others = [each for each in build.objects(kind) if not build.is_patch(each)]
    names = [text(each.value, "metadata", "name") for each in others]
    for parsed in build.objects(kind):
        if build.is_patch(parsed) and text(parsed.value, "metadata", "name") == name:
            key = "namespace" if name in names else "name"
            at = parsed.at(("metadata", key))
            who = "/".join(filter(None, (kind, namespace, name)))
            right = sorted({str(dig(each.value, "metadata", key) or "") for each in others})
            listed = ", ".join(filter(None, right))
            fix = advise(
                f"name one of {listed}" if listed else f"add the {kind}, or remove the patch"
            )
            if len(right) == 1:
                fix = set_at(at, right[0] or REMOVED)
            yield Problem(f"patches {who}, which is not among the resources", at, fix=fix)


def _operation(build: Build, match: re.Match[str]) -> Iterator[Problem]:
    """An operation of a JSON patch that does not apply."""
    op, pointer = match["op"], match["path"]
    op = "test" if op.startswith("test") else op
    for parsed, keys in build.operations():
        operation = mapping(dig(parsed.value, *keys))
        if (operation.get("op"), operation.get("path")) == (op, pointer):
            at = parsed.at((*keys, "path"))
            parent = pointer.rpartition("/")[0] or "/"
            fix = advise("write a strategic merge patch, which adds what is missing")
            message = f"{pointer} does not exist: there is nothing to {op}"
            if op == "add":
                message = f"{parent} does not exist: nothing can be added at {pointer}"
            elif op == "test":
                message = f"{pointer} is not {flow(operation.get('value'))}"
                fix = advise("correct the value, or take the operation out")
            elif op == "remove":
                fix = _without_operation(build, parsed, keys) or advise("take it out")
            yield Problem(message, at, fix=fix)


def _without_operation(build: Build, parsed: Document, keys: KeyPath) -> Fix:
    """Take an operation out of a patch, or the patch where that was all."""
    if len(items(parsed.value)) > 1:
        return set_at(parsed.at(keys), REMOVED)
    for around in build.kustomizations():
        if parsed.start and parsed.start.block and around.path == parsed.path:
            return set_at(around.at(parsed.start.block[:2]), REMOVED)
    return NOTHING


def _unknown_operation(build: Build, match: re.Match[str]) -> Iterator[Problem]:
    known = ("add", "copy", "move", "remove", "replace", "test")
    for parsed, keys in build.operations():
        if dig(parsed.value, *keys, "op") == match[1]:
            message = f"{match[1]} is not an operation{did_you_mean(match[1], known)}"
            fix = advise(f"one of: {', '.join(known)}")
            yield Problem(message, parsed.at((*keys, "op")), fix=fix)


def _unknown_key(build: Build, match: re.Match[str]) -> Iterator[Problem]:
    key = match[1]
    for parsed in build.kustomizations():
        for keys in (each for each in parsed.lines if each and each[-1] == key):
            at = parsed.at(keys)
            (near,) = difflib.get_close_matches(key, _KEYS, n=1) if len(keys) == 1 else [""]
            fix = advise("correct its name, or take it out")
            if near and near not in mapping(parsed.value):
                fix = set_at(parsed.at((near,)), dig(parsed.value, *keys)) + set_at(at, REMOVED)
            hint = did_you_mean(key, _KEYS) if len(keys) == 1 else ""
            yield Problem(f"unknown key {key}{hint}", at, fix=fix)


def _wrong_type(build: Build, match: re.Match[str]) -> Iterator[Problem]:
    actual, dotted, expected = match.groups()
    keys = tuple(int(each) if each.isdecimal() else each for each in dotted.split("."))
    for parsed in build.kustomizations():
        written = dig(parsed.value, *keys)
        if written is not None and _go_kind(written) == actual:
            at = parsed.at(keys)
            must = "a list" if expected.startswith("[]") else _GO_TYPES.get(expected, "a mapping")
            fix = advise(f"write {must}")
            if must == "text":
                fix = set_at(at, flow(written))
            elif must == "a list":
                fix = set_at(at, [written])
            yield Problem(f"{'.'.join(map(str, keys))} must be {must}", at, fix=fix)


def _go_kind(written: object) -> str:
    if isinstance(written, bool):
        return "bool"
    if isinstance(written, int | float):
        return "number"
    names = ((str, "string"), (list, "array"), (dict, "object"))
    return next((name for kind, name in names if isinstance(written, kind)), "")


def _no_object(build: Build, _: re.Match[str]) -> Iterator[Problem]:
    """A file among the resources that is not a Kubernetes object."""
    for _parsed, keys, file in build.references():
        if keys[0] == "resources" and (build.tree.root / file).is_file():
            for parsed in build.tree.documents(file):
                if parsed.value is not None and (reason := _why_no_object(parsed)):
                    fix = advise("write apiVersion, kind and metadata.name, or take the file out")
                    yield Problem(*reason, fix=fix)


def _why_no_object(parsed: Document) -> tuple[str, Location] | None:
    if not isinstance(parsed.value, dict):
        kind = "a list" if isinstance(parsed.value, list) else "text"
        return f"is {kind}, not a Kubernetes object", parsed.at(())
    for keys in (("apiVersion",), ("kind",), ("metadata", "name")):
        if not dig(parsed.value, *keys):
            return f"is not a Kubernetes object: it has no {'.'.join(keys)}", parsed.at(keys)
    for key, below in parsed.value.items():
        if below is None:  # kustomize reads such an object as one without a name
            return f"{key} has no value", parsed.at((str(key),))
    return None


def _no_source(build: Build, match: re.Match[str]) -> Iterator[Problem]:
    """A replacement whose source, or whose target's field, is not there."""
    for parsed in build.documents():
        for index, each in enumerate(items(parsed.value, "replacements")):
            name = text(each, "source", "name")
            keys: KeyPath = ("replacements", index, "source", "name")
            if name and f"/{name}." in match[1]:
                message = f"no {text(each, 'source', 'kind')} is called {name}"
                yield Problem(message, parsed.at(keys), fix=advise("correct the name"))


def _no_field(build: Build, match: re.Match[str]) -> Iterator[Problem]:
    for parsed in build.kustomizations():
        for keys in parsed.lines:
            if "fieldPaths" in keys and dig(parsed.value, *keys) == match[1]:
                message = f"the object that is selected has no {match[1]}"
                fix = advise("correct the path, or set options.create: true")
                yield Problem(message, parsed.at(keys), fix=fix)


def _no_generated(build: Build, match: re.Match[str]) -> Iterator[Problem]:
    for parsed in build.kustomizations():
        for kind in ("configMapGenerator", "secretGenerator"):
            for index, each in enumerate(items(parsed.value, kind)):
                if text(each, "name") == match[1] and text(each, "behavior"):
                    at = parsed.at((kind, index, "behavior"))
                    message = f"no resource is called {match[1]}: nothing to {each['behavior']}"  # type: ignore[index]
                    yield Problem(message, at, fix=set_at(at, REMOVED))


def _kind_of_file(build: Build, match: re.Match[str]) -> Iterator[Problem]:
    right = {"kind": "Kustomization", "apiVersion": "kustomize.config.k8s.io/v1beta1"}[match[1]]
    for parsed in build.kustomizations():
        written = text(parsed.value, match[1])
        if written and written not in (right, "Component", "kustomize.config.k8s.io/v1alpha1"):
            at = parsed.at((match[1],))
            yield Problem(f"{match[1]} is {written}", at, fix=set_at(at, right))


def _patch_entry(build: Build, _: re.Match[str]) -> Iterator[Problem]:
    """An entry of ``patches`` that is none."""
    for parsed in build.kustomizations():
        for index, each in enumerate(items(parsed.value, "patches")):
            at = parsed.at(("patches", index))
            patch, target = text(each, "patch"), dig(each, "target")
            if patch and text(each, "path"):
                fix = advise("keep one of them")
                yield Problem("has both path and patch", at, fix=fix)
            elif patch.lstrip().startswith("-") and not target:
                fix = advise("say which objects it changes: target: {kind: …, name: …}")
                yield Problem("a JSON patch without a target changes nothing", at, fix=fix)
            elif patch and not re.search(r"(?m)^\s*(- |apiVersion|kind)|\{", patch):
                message = "is neither a part of an object nor a list of JSON patch operations"
                fix = advise("write apiVersion, kind, metadata and what changes, or operations")
                yield Problem(message, parsed.at(("patches", index, "patch")), fix=fix)


def _bad_pattern(build: Build, _: re.Match[str]) -> Iterator[Problem]:
    """A target that is not a regular expression."""
    for parsed in build.kustomizations():
        for keys in parsed.lines:
            pattern = dig(parsed.value, *keys)
            if "target" in keys and isinstance(pattern, str):
                try:
                    re.compile(pattern)
                except re.error as error:
                    message = f"{pattern} is not a regular expression: {error.msg}"
                    yield Problem(message, parsed.at(keys), fix=advise("correct it"))


def _unreadable(build: Build, _: re.Match[str]) -> Iterator[Problem]:
    """A file that is not YAML: at the line that the finding of the file itself names."""
    for file in dict.fromkeys((*build.files, *(file for *_, file in build.references()))):
        if file.endswith((".yaml", ".yml")):
            try:
                build.tree.documents(file)
            except InputError as error:
                yield Problem(error.message, error.at or Location(Path(file), 1))


def _identity(match: re.Match[str]) -> tuple[str, str, str]:
    """Kind, name and namespace of kustomize's ResId, such as ``Kind.v1.group/name.namespace``."""
    name, _, namespace = match["name"].rpartition(".")
    return match["kind"], name, "" if namespace == "[noNs]" else namespace


_ID = r"(?P<kind>\w+)\.[^\s/]+/(?P<name>[^\s;\"']+)"
_KINDS: tuple[tuple[str, Callable[[Build, re.Match[str]], Iterator[Problem]]], ...] = (
    (r"no such file or directory", _missing_files),
    (r"unable to find one of 'kustomization.yaml'", _folders),
    (r"expected kind '\w+' for path '([^']+)' but got '(\w+)'", _no_component),
    (rf"already registered id: {_ID}", _twice),
    (rf"no matches for Id {_ID}", _no_target),
    (
        r"(?P<op>replace|add|copy|move) operation does not apply: .*?path: \"?(?P<path>/[^:\"]*)",
        _operation,
    ),
    (r"error in (?P<op>remove) for path: '(?P<path>[^']*)'", _operation),
    (r"(?P<op>testing) value (?P<path>\S+) failed", _operation),
    (r"Unexpected kind: (\w+)", _unknown_operation),
    (r"json: unknown field \"([^\"]+)\"", _unknown_key),
    (
        r"cannot unmarshal (\w+) into Go struct field Kustomization\.(\S+) of type (\S+)",
        _wrong_type,
    ),
    (r"missing (?:Resource metadata|\S+ in object)", _no_object),
    (r"error parsing regexp", _bad_pattern),
    (r"MalformedYAML|yaml: unmarshal|yaml: line|: yaml: ", _unreadable),
    (r"nothing selected by (\S+)", _no_source),
    (r"unable to find field \"([^\"]+)\" in replacement target", _no_field),
    (r"Name:\"([^\"]+)\".* does not exist; cannot merge or replace", _no_generated),
    (r"(kind|apiVersion) (?:for Kustomization )?should be", _kind_of_file),
    (r"patch and path can't be set|must specify a target|unable to parse SM or JSON", _patch_entry),
)
"""A sentence of kustomize, and what finds the lines that it is about."""
