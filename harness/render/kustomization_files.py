"""The YAML files of a kustomize build: the files they name, their objects, patches, operations."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.core.errors import InputError
from harness.core.values import KeyPath, dig, items, mapping, text
from harness.core.yamlfile import Document, parse_block
from harness.render.tree import KUSTOMIZATION_NAMES, Tree

_PATHS: tuple[tuple[str, ...], ...] = (
    *(("resources",), ("components",), ("crds",), ("configurations",), ("patchesStrategicMerge",)),
    *(("patches", "path"), ("patchesJson6902", "path"), ("replacements", "path")),
    *(("configMapGenerator", "files"), ("configMapGenerator", "envs")),
    *(("secretGenerator", "files"), ("secretGenerator", "envs")),
)
"""Where a kustomization file names others: lists of names, or lists of what has the key."""


@dataclass(frozen=True)
class Build:
    """The YAML files of a build."""

    tree: Tree
    files: Sequence[str]
    patches: Sequence[Document]

    def documents(self) -> Iterator[Document]:
        for file in self.files:
            if file.endswith((".yaml", ".yml", "/Kustomization")):
                try:
                    yield from self.tree.documents(file)
                except InputError:  # it has a finding of its own
                    continue

    def kustomizations(self) -> Iterator[Document]:
        for parsed in self.documents():
            if parsed.path.name in KUSTOMIZATION_NAMES:
                yield parsed

    def references(self) -> Iterator[tuple[Document, KeyPath, str]]:
        """Each name of a file in a kustomization file, and the path in the repository it means."""
        for parsed in self.kustomizations():
            for key, *inner in _PATHS:
                for index, entry in enumerate(items(parsed.value, key)):
                    for keys, name in _names(entry, (key, index), inner):
                        file = name.rpartition("=")[2]
                        yield parsed, keys, os.path.normpath(parsed.path.parent / file)

    def operations(self) -> Iterator[tuple[Document, KeyPath]]:
        """Each operation of the JSON patches, and where it is in its document."""
        for parsed in (*self.documents(), *self.inline()):
            for index, operation in enumerate(items(parsed.value)):
                if "op" in mapping(operation):
                    yield parsed, (index,)

    def inline(self) -> Iterator[Document]:
        """The patches written into kustomization files and the Flux Kustomization."""
        yield from self.patches
        for parsed in self.kustomizations():
            for index, patch in enumerate(items(parsed.value, "patches")):
                at = parsed.at(("patches", index, "patch"))
                yield from parse_block(text(patch, "patch"), at)

    def objects(self, kind: str) -> Iterator[Document]:
        """The documents that are objects of a kind, patches among them."""
        for parsed in (*self.documents(), *self.inline()):
            if text(parsed.value, "kind") == kind:
                yield parsed

    def is_patch(self, parsed: Document) -> bool:
        named = {file for _, keys, file in self.references() if keys[0] != "resources"}
        return str(parsed.path) in named or bool(parsed.start and parsed.start.block)


def _names(entry: object, keys: KeyPath, inner: list[str]) -> Iterator[tuple[KeyPath, str]]:
    if not inner:
        yield from [(keys, entry)] if isinstance(entry, str) and "\n" not in entry else []
    elif isinstance(below := dig(entry, inner[0]), list):
        for index, each in enumerate(below):
            yield from _names(each, (*keys, inner[0], index), [])
    else:
        yield from _names(below, (*keys, inner[0]), [])
