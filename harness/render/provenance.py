"""From a field of a rendered object back to the line that somebody can edit.

kustomize names the file of each object (originAnnotations) and helm the template of each
document (``# Source:``). The rest is found by looking: which document, patch or value in the
files that were read has the field, and has it with the rendered value.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core import yamlfile
from harness.core.errors import InputError, Location
from harness.core.values import Key, KeyPath, Value, dig, items, mapping, text
from harness.core.yamlfile import Document
from harness.render import patch_target, template
from harness.render.objects import Object, stem
from harness.render.template import Template
from harness.render.tree import Tree

_POD = ("spec", "template", "spec")
Sources = list[tuple[Document, KeyPath]]
"""Documents that hold the values of a chart, each with the path of the values in it."""
_IDENTITY = (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"))
"""What a patch with a target cannot change: kustomize takes these from the object it patches."""


@dataclass(frozen=True, slots=True)
class _Spot:
    """A place that may have made a field: how much of its path it has, and whether it says so.

    ``named`` where it names the object exactly, not only a part of a name that was lengthened.
    """

    depth: int
    equal: bool
    location: Location
    named: bool = True

    @property
    def rank(self) -> tuple[bool, bool, int]:
        return (self.named, self.equal, self.depth)


@dataclass(frozen=True, slots=True)
class FromKustomize:
    """Traces an object that kustomize built.

    Attributes:
        origin: the file that the object came from.
        read: every file of the build, overlays before their bases.
    """

    tree: Tree
    origin: str
    read: tuple[str, ...]

    def __call__(self, value: Value, path: KeyPath) -> Location:
        best = _Spot(-1, False, Location(Path(self.origin), None), named=False)
        for spot in self._spots(value, path):
            # Of two places that say it the overlay decides; what neither has, the origin lacks.
            if spot.rank > best.rank or (spot.rank == best.rank and not spot.equal):
                best = spot
        return best.location

    def documents(self) -> Iterator[Document]:
        """Everything that was read, as YAML."""
        # The origin last: of two places that say the same, the overlay is the one that decides.
        for file in dict.fromkeys((*self.read, self.origin)):
            if file.endswith((".yaml", ".yml")):
                yield from _documents(self.tree, file)

    def about(self, rendered: Value) -> list[Document]:
        """The documents that an object is made of: its origin, and the patches that name it."""
        kind, name = text(rendered, "kind"), text(rendered, "metadata", "name")
        documents = [each for each in self.documents() if text(each.value, "kind") == kind]
        exact = {text(each.value, "metadata", "name") for each in documents} & {name}
        origin = [each for each in documents if str(each.path) == self.origin]

        def is_about(parsed: Document) -> bool:
            if [parsed] == origin:  # whatever its name was there: a patch may have changed it
                return True
            named = text(parsed.value, "metadata", "name")
            return named == name if exact else _same(parsed.value, rendered)

        return list(filter(is_about, documents))

    def _spots(self, value: Value, path: KeyPath) -> Iterator[_Spot]:
        about = self.about(value)
        for parsed in self.documents():
            if parsed in about:
                yield _spot(parsed, value, path)
            elif text(parsed.value, "kind") in ("Kustomization", "Component"):
                yield from self._inline(parsed, value, path)
            elif isinstance(parsed.value, list):
                yield from _operations(parsed, value, path)

    def _inline(self, parsed: Document, value: Value, path: KeyPath) -> Iterator[_Spot]:
        """Patches written into a kustomization file, its namespace, and what it generates."""
        if path == ("metadata", "namespace") and "namespace" in mapping(parsed.value):
            equal = text(parsed.value, "namespace") == dig(value, *path)
            yield _Spot(len(path), equal, parsed.at(("namespace",)))
        yield from _patches(parsed, (), value, path)
        moved = text(parsed.value, "namespace")
        if path == ("metadata", "namespace") and moved == dig(value, *path):
            yield _Spot(len(path), True, parsed.at(("namespace",)))
        for index, generator in enumerate(items(parsed.value, "configMapGenerator")):
            if text(generator, "name") == stem(text(value, "metadata", "name")):
                yield _generated_spot(parsed, index, path)


@dataclass(frozen=True, slots=True)
class FromHelm:
    """Traces an object that a chart of this repository made.

    Attributes:
        template: the template's path in the repository.
        values: finds the documents that gave values, the last word first.
    """

    tree: Tree
    template: str
    values: Callable[[], "Sources"]

    def __call__(self, rendered: Value, path: KeyPath) -> Location:
        return (
            self._post_renderer(rendered, path)
            or self._pod_spec(rendered, path)
            or self._list_location(rendered, path)
            or self._template(rendered, path)
        )

    def _post_renderer(self, rendered: Value, path: KeyPath) -> Location | None:
        """The patch of ``spec.postRenderers`` that wrote it."""
        for parsed, base in self.values():
            where = ("spec", "postRenderers")
            for index in range(len(items(parsed.value, *where))) if base else ():
                for spot in _patches(parsed, (*where, index, "kustomize"), rendered, path):
                    if spot.equal and spot.depth == len(path):
                        return spot.location
        return None

    def _pod_spec(self, rendered: Value, path: KeyPath) -> Location | None:
        """The line of the value `podSpec`, which the chart merges over the pod that it writes."""
        if path[: len(_POD)] != _POD:
            return None
        for parsed, base in self.values():
            spec = (*base, "podSpec")
            matched = _source_path(
                dig(parsed.value, *spec), dig(rendered, *_POD), path[len(_POD) :]
            )
            source = dig(parsed.value, *spec, *matched)
            if len(_POD) + len(matched) == len(path) and may_become(source, dig(rendered, *path)):
                return parsed.at((*spec, *matched))
        return None

    def _list_location(self, rendered: Value, path: KeyPath) -> Location | None:
        """The value that is a list, of which an item became one of the object's, or all of it."""
        cuts = [cut for cut in range(len(path), 0, -1) if isinstance(path[cut - 1], int)]
        for cut in (*cuts, 0):
            element = mapping(dig(rendered, *path[:cut]))
            for parsed, base in self.values():
                for where, listed in _lists(mapping(parsed.value, *base), base):
                    for index, each in enumerate(listed):
                        if _became(mapping(each), element):
                            return parsed.at(_in_source(parsed, (*where, index, *path[cut:])))
        return None

    def _template(self, rendered: Value, path: KeyPath) -> Location:
        read = self.tree.remember(f"template {self.template}", self._read)
        reached = read.follow(rendered, path)
        if reached is None:
            return Location(Path(self.template), 1)
        rest = path[reached.matched :]
        # What the render has and no value says comes from the template itself.
        least = len(rest) if dig(rendered, *path) is not None else 0
        for parsed, base in self.values():
            for value_path in reached.values:
                whole = (*base, *value_path, *rest)
                if len(_longest(parsed, whole)) >= len(base) + len(value_path) + least:
                    return _of_value(parsed, _in_source(parsed, whole), dig(rendered, *path))
        return Location(Path(reached.line.path), reached.line.number)

    def _read(self) -> Template:
        folder = self.template.rpartition("/")[0]
        files = {}
        for name in (self.template, *self._helpers(folder)):
            try:
                files[name] = self.tree.text(name)
            except InputError:
                files[name] = ""
        return template.parse(files, self.template)

    def _helpers(self, folder: str) -> list[str]:
        try:
            return [name for name in self.tree.files(folder) if name.endswith(".tpl")]
        except InputError:
            return []


def value_sources(tree: Tree, release: Object, chart: str) -> Sources:
    """Where the values of a HelmRelease are written, the last word first."""
    trace = release.trace if isinstance(release.trace, FromKustomize) else None
    documents = list(trace.documents()) if trace else []
    about = trace.about(release.value) if trace else []
    sources: Sources = [(parsed, ("spec", "values")) for parsed in about]
    for source in reversed(items(release.value, "spec", "valuesFrom")):
        for parsed in documents:
            sources += _value_documents(tree, parsed, source)
    return sources + [(parsed, ()) for parsed in _documents(tree, f"{chart}/values.yaml")]


def nulls(tree: Tree, release: Object) -> Iterator[tuple[KeyPath, Location]]:
    """The values of a HelmRelease that its files write as null, and where."""
    where = ("spec", "values")
    read = release.trace.read if isinstance(release.trace, FromKustomize) else ()
    for parsed in (parsed for file in read for parsed in _documents(tree, file)):
        if _same(parsed.value, release.value):
            for path in parsed.lines:
                if path[:2] == where and dig(parsed.value, *path[:-1]) and _is_null(parsed, path):
                    yield path[2:], parsed.at(path)


def _is_null(parsed: Document, path: KeyPath) -> bool:
    parent = mapping(dig(parsed.value, *path[:-1]))
    return path[-1] in parent and parent[str(path[-1])] is None


def _value_documents(tree: Tree, parsed: Document, source: object) -> Sources:
    """The file behind one entry of ``valuesFrom``, where ``parsed`` generates its ConfigMap."""
    key = text(source, "valuesKey") or "values.yaml"
    for index, generator in enumerate(items(parsed.value, "configMapGenerator")):
        if text(generator, "name") == stem(text(source, "name")):
            at = _generated_spot(parsed, index, ("data", key)).location
            target = tuple(filter(None, text(source, "targetPath").split(".")))
            if target:
                return [(Document(at.path, {target[0]: ""}, {target[:1]: 1}, None), ())]
            return [(each, ()) for each in _documents(tree, str(at.path))]
    return []


def _of_value(parsed: Document, path: KeyPath, rendered: object) -> Location:
    """A place among the values; no edit of it where a template works on what it says."""
    written = dig(parsed.value, *path)
    at = parsed.at(path)
    same = may_become(written, rendered) and not _has_variable(written)
    return at if same else dataclasses.replace(at, field=None)


def may_become(source: object, rendered: object) -> bool:
    """Whether a source value can have become the rendered one: equal, or filled in since."""
    return source == rendered or (isinstance(source, str) and ("${" in source or "UNSET" in source))


def _lists(values: Value, base: KeyPath) -> Iterator[tuple[KeyPath, list[object]]]:
    """The lists among values, at any depth of mappings."""
    for key, inner in values.items():
        if isinstance(inner, list):
            yield (*base, key), inner
        elif isinstance(inner, dict):
            yield from _lists(inner, (*base, key))


def _became(source: Value, rendered: Value) -> bool:
    """Whether an item among the values is a rendered one: its name, and no key that it lacks.

    One without a name is what it became, whole.
    """
    if source and source == rendered:
        return True
    same = [("name",)] if "name" in source else [("kind",), ("metadata", "name")]
    return source.keys() <= rendered.keys() and all(
        dig(source, *key) == dig(rendered, *key) is not None for key in same
    )


def _patches(parsed: Document, base: KeyPath, rendered: Value, path: KeyPath) -> Iterator[_Spot]:
    """The patches at ``base`` of a document that are about an object."""
    for index, patch in enumerate(items(parsed.value, *base, "patches")):
        at = parsed.at((*base, "patches", index, "patch"))
        for inner in yamlfile.parse_block(text(patch, "patch"), at):
            if _same(inner.value, rendered):
                yield _spot(inner, rendered, path)
            elif not patch_target.fits(mapping(patch, "target"), rendered):
                continue
            elif isinstance(inner.value, list):
                yield from _operations(inner, rendered, path)
            elif path not in _IDENTITY:
                yield dataclasses.replace(_spot(inner, rendered, path), named=True)


def _spot(parsed: Document, value: Value, path: KeyPath) -> _Spot:
    matched = _source_path(parsed.value, value, path)
    complete = len(matched) == len(path)
    equal = complete and may_become(dig(parsed.value, *matched), dig(value, *path))
    named = dig(parsed.value, "metadata", "name") == dig(value, "metadata", "name")
    at = parsed.at((*matched, *path[len(matched) :]))
    if _has_variable(dig(parsed.value, *matched)):
        at = dataclasses.replace(at, field=None)
    return _Spot(len(matched), equal, at, named)


def _source_path(source: object, rendered: object, path: KeyPath) -> KeyPath:
    """As much of ``path`` as the source has; list items are matched by name before position."""
    matched: list[Key] = []
    for key in path:
        source_key: Key = key
        if isinstance(source, list) and isinstance(key, int):
            name = text(dig(rendered, key), "name")
            source_key = next(
                (i for i, item in enumerate(source) if name and text(item, "name") == name), key
            )
        if isinstance(source, Mapping) and key not in source:
            break
        if isinstance(source, list) and not (
            isinstance(source_key, int) and source_key < len(source)
        ):
            break
        if not isinstance(source, Mapping | list):
            break
        matched.append(source_key)
        source, rendered = dig(source, source_key), dig(rendered, key)
    return tuple(matched)


def _operations(parsed: Document, value: Value, path: KeyPath) -> Iterator[_Spot]:
    """The operations of a JSON patch that write to ``path``."""
    for index, operation in enumerate(items(parsed.value)):
        pointer = text(operation, "path").strip("/").split("/")
        keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer]
        if keys == [str(key) for key in path[: len(keys)]]:
            equal = may_become(dig(operation, "value"), dig(value, *path[: len(keys)]))
            field = parsed.at((index, "value", *path[len(keys) :])).field
            at = dataclasses.replace(parsed.at((index, "path")), field=field)
            yield _Spot(len(path), equal, at)


def _generated_spot(parsed: Document, index: int, path: KeyPath) -> _Spot:
    """A generated object: its entry, or the file behind one of its keys."""
    if len(path) > 1 and path[0] == "data":
        for file in items(parsed.value, "configMapGenerator", index, "files"):
            key, _, name = str(file).rpartition("=")
            if path[1] in (key, Path(name).name):
                return _Spot(len(path), True, Location(parsed.path.parent / name, 1))
    return _Spot(0, False, parsed.at(("configMapGenerator", index)))


def _same(source: object, value: Value) -> bool:
    """Whether a document is about the rendered object (names may have got a prefix since)."""
    name = text(source, "metadata", "name")
    return (
        bool(name)
        and text(source, "kind") == text(value, "kind")
        and ("${" in name or name in text(value, "metadata", "name"))
    )


def _has_variable(source: object) -> bool:
    """Whether Flux fills something in, so that the text in the file is not the value."""
    return isinstance(source, str) and "${" in source


def _longest(parsed: Document, path: KeyPath) -> KeyPath:
    return _source_path(parsed.value, parsed.value, path)


def _in_source(parsed: Document, path: KeyPath) -> KeyPath:
    """A path with the indexes that the source has, as far as it has them."""
    matched = _longest(parsed, path)
    return (*matched, *path[len(matched) :])


def _documents(tree: Tree, file: str) -> list[Document]:
    try:
        return tree.documents(file)
    except InputError:
        return []
