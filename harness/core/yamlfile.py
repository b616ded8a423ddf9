"""YAML text as plain values, with the line of every key and item.

Apart from harness.core.document, which puts models on top, because pydantic takes a third of a
second to import and whoever only looks at manifests need not pay it.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.core.errors import InputError, Location
from harness.core.location import START, YamlPath
from harness.core.values import KeyPath

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_BYTES = 4 << 20  # no file of ours comes near it; a 50 MB one is a mistake, not a manifest
_TEMPLATE = "AWSTemplateFormatVersion"  # CloudFormation's: its functions have short forms
_UNPREFIXED = ("Condition", "Ref")
_MAX_NODES = 200_000  # aliases expanded: stops a YAML bomb long before memory does
_MAX_DEPTH = 3_000  # values one in another: libyaml bears 20,000, and not 40,000
_COMPACT = re.compile(r"(?:[-?] ){3000}")


class ManifestLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as Kubernetes reads it: a date is text, and so is a lone `=`."""


ManifestLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":value"))
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class DuplicateKeyError(InputError):
    """Of two equal keys one wins, and which one depends on the reader."""


class TabIndentError(InputError):
    """A tab where YAML takes spaces alone."""


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its plain value, and the line (from 1) of every key and item.

    Attributes:
        start: where in the file it begins; None where no edit of a key could be written there.
    """

    path: Path
    value: object
    lines: Mapping[KeyPath, int]
    start: YamlPath | None = START

    def at(self, loc: KeyPath) -> Location:
        """The place of ``loc``: its line, or that of the nearest thing around it in the file."""
        nearest = loc
        while nearest and nearest not in self.lines:
            nearest = nearest[:-1]
        field = self.start and dataclasses.replace(self.start, keys=loc)
        return Location(self.path, self.lines.get(nearest, 1), field)


def read_text(path: Path) -> str:
    """The file's text.

    Raises:
        InputError: it is missing, unreadable, larger than 4 MiB or not UTF-8.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"larger than {_MAX_BYTES >> 20} MiB: not a file of ours", at=path)
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}", at=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=path) from error


def parse(text: str, path: Path) -> list[Document]:
    """Every YAML document in ``text``; ``path`` is only for the errors.

    Raises:
        InputError: not YAML, a duplicate key, more than 200,000 nodes or too many one in another.
    """
    short = _TEMPLATE in text
    try:
        _refuse_depth(text)
        nodes = list(yaml.compose_all(text, Loader=_LOADER))
        return [
            _Builder(path, short_forms=short).document(node, YamlPath((), index))
            for index, node in enumerate(nodes)
        ]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        kind = TabIndentError if mark and _character(text, mark) == "\t" else InputError
        raise kind(
            f"not YAML: {error.problem or error.context}",
            at=Location(path, mark.line + 1 if mark else None),
        ) from error
    except yaml.YAMLError as error:
        raise InputError(f"not YAML: {error}", at=path) from error
    except RecursionError as error:
        raise InputError("too many values one in another", at=path) from error


def parse_block(source: str, at: Location) -> list[Document]:
    """YAML written as a block of text in another YAML file; none where it cannot be read.

    Args:
        source: the text.
        at: the place of the key that holds it: lines are counted in the file around it.
    """
    try:
        documents = parse(source, at.path)
    except InputError:
        return []
    first = at.line or 0
    start = at.field and dataclasses.replace(at.field, keys=(), block=at.field.keys)
    return [
        Document(
            each.path,
            each.value,
            {keys: first + line for keys, line in each.lines.items()},
            start if len(documents) == 1 else None,
        )
        for each in documents
    ]


def _refuse_depth(text: str) -> None:
    """Refuse what libyaml would follow until its stack is full, which ends the process.

    Raises:
        RecursionError: it is nested too deeply.
    """
    if text.count("[") + text.count("{") < _MAX_DEPTH and not _COMPACT.search(text):
        return
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise RecursionError


def _character(text: str, mark: yaml.Mark) -> str:
    """The character at which the parser stopped; empty at the end of the text."""
    line = "".join(text.splitlines()[mark.line : mark.line + 1])
    return line[mark.column : mark.column + 1]


class _Builder:
    """Turns a composed node into plain values, noting lines and refusing surprises."""

    def __init__(self, path: Path, *, short_forms: bool) -> None:
        self._path = path
        self._short_forms = short_forms
        self._constructor = _LOADER("")
        self._lines: dict[KeyPath, int] = {}
        self._nodes = 0

    def document(self, node: yaml.Node, start: YamlPath) -> Document:
        return Document(self._path, self._build(node, ()), self._lines, start)

    def _build(self, node: yaml.Node, loc: KeyPath) -> object:
        self._nodes += 1
        line = node.start_mark.line + 1
        if self._nodes > _MAX_NODES:
            raise InputError(
                f"more than {_MAX_NODES:,} values once its aliases are expanded",
                at=Location(self._path, line),
            )
        self._lines.setdefault(loc, line)
        if self._short_forms and node.tag.startswith("!"):
            return self._long_form(node, loc)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, loc)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*loc, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _long_form(self, node: yaml.Node, loc: KeyPath) -> dict[object, object]:
        """A function of CloudFormation as its long form: ``!Ref Key`` is ``{Ref: Key}``.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
        """
        name = node.tag.removeprefix("!")
        function = name if name in _UNPREFIXED else f"Fn::{name}"
        if isinstance(node, yaml.ScalarNode):
            node.tag = yaml.resolver.BaseResolver.DEFAULT_SCALAR_TAG
        else:
            node.tag = ""
        argument = self._build(node, (*loc, function))
        if name == "GetAtt" and isinstance(argument, str):
            argument = argument.split(".", 1)
        return {function: argument}

    def _mapping(self, node: yaml.MappingNode, loc: KeyPath) -> dict[object, object]:
        built: dict[object, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._scalar(key_node)
            if key in built:
                first = self._lines[*loc, str(key)]
                raise DuplicateKeyError(
                    f"duplicate key {key!r} (first on line {first})",
                    at=Location(self._path, line),
                )
            self._lines[*loc, str(key)] = line
            built[key] = self._build(value_node, (*loc, str(key)))
        return built

    def _scalar(self, node: yaml.Node) -> object:
        try:
            value: object = self._constructor.construct_object(node, deep=True)
            hash(value)
        except (yaml.YAMLError, ValueError, TypeError) as error:
            raise InputError(
                f"a value that cannot be read: {error}",
                at=Location(self._path, node.start_mark.line + 1),
            ) from error
        return value
