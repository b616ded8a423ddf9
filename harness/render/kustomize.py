"""``kustomize build`` as kustomize-controller does it, with the origin of each object.

The controller merges a Flux Kustomization's patches, images, components and names into the
folder's own kustomization.yaml (github.com/fluxcd/pkg/kustomize, Generator) and builds without
load restrictions. The same file is written here into a scratch folder whose neighbors are links
to the real ones, so nothing in the checkout is touched.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from harness import tools
from harness.core import command
from harness.core.errors import InputError, Location
from harness.core.values import Value, items, mapping, text
from harness.core.yamlfile import ManifestLoader
from harness.render.substitution import VARIABLE, names, substitute
from harness.render.tree import Tree

DISABLED = "kustomize.toolkit.fluxcd.io/substitute"
_ORIGIN = "config.kubernetes.io/origin"
_CPU = 8  # seconds; a build takes 0.1
_SECONDS = 120.0  # on a machine however busy


class KustomizeError(InputError):
    """kustomize does not build a folder; the message is its own."""


@dataclass(frozen=True, slots=True)
class BuiltObject:
    """An object as kustomize built it.

    Attributes:
        origin: the file it came from, by its path in the repository; a generated object's is
            the kustomization file that generates it.
        missing: variables that it needs and that were not given: Flux makes them empty.
    """

    value: Value
    origin: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Build:
    """What to build: a folder, and what a Flux Kustomization says about it.

    Attributes:
        spec: ``spec`` of the Flux Kustomization; empty for a plain build.
        variables: what postBuild substitutes; None when it does not substitute at all.
    """

    folder: str
    spec: Value
    variables: Mapping[str, str] | None

    def key(self, tree: Tree) -> str:
        """Changes with everything that the result depends on."""
        extra = [
            file
            for component in items(self.spec, "components")
            for file in tree.closure(os.path.normpath(f"{self.folder}/{component}"))
        ]
        digest = tree.digest((*tree.closure(self.folder), *extra))
        used = {name: self.spec.get(name) for name in _MERGED if name in self.spec}
        return json.dumps(["kustomize", self.folder, digest, used, self.variables], sort_keys=True)


_MERGED = (
    "targetNamespace",
    "namePrefix",
    "nameSuffix",
    "patches",
    "components",
    "images",
    "commonMetadata",
)


def build(program: Path, tree: Tree, request: Build) -> list[list[object]]:
    """The objects of ``request`` as JSON-able lists, which ``read`` turns into ``BuiltObject``.

    Raises:
        KustomizeError: kustomize refuses it, or takes more than 8 s of CPU.
        InputError: Flux would not substitute it.
        CommandError: it did not end, which may be the machine.
    """
    with tempfile.TemporaryDirectory(prefix="kustomize-") as scratch:
        folder = _stage(Path(scratch), tree, request)
        argv: list[str | Path] = [program, "build", folder]
        argv += ["--load-restrictor", "LoadRestrictionsNone"]
        try:
            output = command.run(argv, timeout=_SECONDS, cpu=_CPU, env=tools.QUICK).stdout
        except command.ExitError as error:
            reason = error.message.partition("\n")[2] or error.message
            reason = reason.replace(f"{tree.root}/", "").replace(scratch + "/", "")
            raise KustomizeError(reason.removeprefix("Error: "), at=Path(request.folder)) from error
    return [
        [with_common_metadata(value, request.spec), origin, missing]
        for value, origin, missing in _documents(output, request)
    ]


def read(built: object) -> list[BuiltObject]:
    """What ``build`` returned, typed."""
    rows = cast("list[tuple[Value, str, list[str]]]", built)
    return [BuiltObject(value, origin, tuple(missing)) for value, origin, missing in rows]


def _stage(scratch: Path, tree: Tree, request: Build) -> Path:
    """A copy of the folder as links, but for its kustomization file, at the same depth."""
    real, copy = tree.root, scratch
    for part in Path(request.folder).parts:
        _link_all(real, copy, but=part)
        real, copy = real / part, copy / part
        copy.mkdir()
    file = tree.kustomization(request.folder)
    _link_all(real, copy, but=Path(file).name)
    merged = _merge(tree, file, request.spec)
    (copy / "kustomization.yaml").write_text(json.dumps(merged))
    return copy


def _link_all(real: Path, copy: Path, *, but: str) -> None:
    for entry in os.scandir(real):
        if entry.name not in (but, ".git"):
            (copy / entry.name).symlink_to(entry.path)


def _merge(tree: Tree, file: str, spec: Value) -> dict[str, object]:
    """The kustomization file with the Flux Kustomization's fields in it, as Flux merges them."""
    documents = tree.documents(file)
    kustomization = documents[0].value if documents else None
    if not isinstance(kustomization, dict):
        raise InputError("is not a Kustomization", at=Path(file))
    merged: dict[str, object] = {**kustomization, "buildMetadata": ["originAnnotations"]}
    renamed = {"targetNamespace": "namespace", "namePrefix": "namePrefix"}
    for theirs, ours in {**renamed, "nameSuffix": "nameSuffix"}.items():
        if spec.get(theirs):
            merged[ours] = spec[theirs]
    for name in ("patches", "components"):
        if items(spec, name):
            merged[name] = [*items(merged, name), *items(spec, name)]
    if items(spec, "images"):
        merged["images"] = _merge_images(items(merged, "images"), items(spec, "images"))
    return merged


def _merge_images(base: list[object], added: list[object]) -> list[object]:
    """Images by name; a tag or a digest replaces both, since they choose one version."""
    images = {text(image, "name"): dict(mapping(image)) for image in base}
    for image in added:
        image_fields = images.setdefault(text(image, "name"), {})
        if text(image, "newTag") or text(image, "digest"):
            image_fields.pop("newTag", None)
            image_fields.pop("digest", None)
        image_fields.update(mapping(image))
    return list(images.values())


def _documents(output: str, request: Build) -> Iterator[tuple[dict[str, object], str, list[str]]]:
    for chunk in f"\n{output}".split("\n---\n"):
        value, origin = _parse(chunk, request)
        missing: list[str] = []
        if _substitutes(chunk, value, request):
            substituted = _substitute_variables(chunk, value, request)
            missing = sorted(names(chunk) - set(request.variables or ()))
            value, _ = _parse(substituted, request)
        if value:
            yield value, origin, missing


def _substitutes(chunk: str, value: Value, request: Build) -> bool:
    if request.variables is None or "$" not in chunk:
        return False
    metadata = mapping(value, "metadata")
    return "disabled" not in (
        mapping(metadata, "labels").get(DISABLED),
        mapping(metadata, "annotations").get(DISABLED),
    )


def _substitute_variables(chunk: str, value: Value, request: Build) -> str:
    variables = request.variables or {}
    for name in variables:
        if not VARIABLE.fullmatch(name):
            raise InputError(f"{name!r} cannot be the name of a variable")
    try:
        return substitute(chunk, variables)
    except InputError as error:
        who = f"{text(value, 'kind')}/{text(value, 'metadata', 'name')}"
        error.message, error.at = f"{who}: {error.message}", Location(Path(request.folder))
        raise


def _parse(chunk: str, request: Build) -> tuple[dict[str, object], str]:
    """The object and its origin, whose annotation is taken out again."""
    try:
        value = yaml.load(chunk, Loader=ManifestLoader)  # noqa: S506  a SafeLoader
    except yaml.YAMLError as error:
        raise InputError(
            f"not YAML after its variables were substituted: {error}", at=Path(request.folder)
        ) from error
    plain, path = without_origin(value or {})
    return plain, os.path.normpath(f"{request.folder}/{path}")


def without_origin(built: dict[str, object]) -> tuple[dict[str, object], str]:
    """A built object without the annotation that names its origin, and the file named there."""
    metadata = mapping(built, "metadata")
    annotations = dict(mapping(metadata, "annotations"))
    annotation = annotations.pop(_ORIGIN, "")
    if not annotation:
        return built, ""
    origin = yaml.load(str(annotation), Loader=ManifestLoader)  # noqa: S506
    path = text(origin, "path") or text(origin, "configuredIn")
    plain = {key: inner for key, inner in metadata.items() if key != "annotations"}
    if annotations:
        plain["annotations"] = annotations
    return {**built, "metadata": plain}, path


def with_common_metadata(value: Value, spec: Value) -> Value:
    """``spec.commonMetadata`` on top of an object's own labels and annotations."""
    added = mapping(spec, "commonMetadata")
    if not added:
        return value
    metadata = dict(mapping(value, "metadata"))
    for name in ("labels", "annotations"):
        if mapping(added, name):
            metadata[name] = {**mapping(metadata, name), **mapping(added, name)}
    return {**value, "metadata": metadata}
