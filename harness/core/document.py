"""YAML files, parsed once at the edge into frozen pydantic models, with the line of every error.

    class Settings(Strict):
        replicas: int

    settings = load(Path("settings.yaml"), Settings)

A ``Strict`` model refuses unknown keys and silent conversions (``version: 1.0`` is a number, not
a version), and what it refuses is reported as ``file:line`` with the nearest valid key.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from harness.core.errors import InputError, Location

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_BYTES = 4 << 20  # no file of ours comes near it; a 50 MB one is a mistake, not a manifest
_MAX_NODES = 200_000  # aliases expanded: stops a YAML bomb long before memory does

Path_ = tuple[str | int, ...]


class Strict(BaseModel):
    """A frozen model that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its plain value, and the line (from 1) of every key and item."""

    path: Path
    value: object
    lines: Mapping[Path_, int]

    def at(self, loc: Path_) -> Location:
        """The place of ``loc``, or of the nearest thing around it that the file has."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return Location(self.path, self.lines.get(loc, 1))


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
        InputError: not YAML, a key that stands twice, or more than 200,000 nodes.
    """
    try:
        nodes = list(yaml.compose_all(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(
            f"not YAML: {error.problem or error.context}",
            at=Location(path, mark.line + 1 if mark else None),
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"not YAML: {error}", at=path) from error
    return [_Builder(path).document(node) for node in nodes]


def load(path: Path, model: type[ModelT]) -> ModelT:
    """Read the one document of ``path`` as a ``model``.

    Raises:
        InputError: the file cannot be read, is not one YAML document, or does not fit.
    """
    documents = parse(read_text(path), path)
    if len(documents) != 1:
        raise InputError(f"{len(documents)} YAML documents where one is expected", at=path)
    return validate(documents[0], model)


def validate(document: Document, model: type[ModelT]) -> ModelT:
    """Turn a document into a ``model``.

    Raises:
        InputError: every problem, each a line ``file:line: key: what is wrong``.
    """
    try:
        # By way of JSON: strict still, but a list may become a tuple and a string an enum.
        return model.model_validate_json(json.dumps(document.value, default=str))
    except ValidationError as error:
        problems = [_problem(document, model, detail) for detail in error.errors()]
        raise InputError("\n".join(problems)) from None


def _problem(document: Document, model: type[BaseModel], detail: ErrorDetails) -> str:
    loc = tuple(detail["loc"])
    name = ".".join(str(part) for part in loc)
    text = detail["msg"]
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(loc[-1]), list(_valid_keys(model, loc[:-1])), n=1)
        text = "unknown key" + (f"; did you mean {near[0]}?" if near else "")
    elif detail["type"] == "string_type":
        text = f'must be text: quote it as "{detail["input"]}"'
    return f"{document.at(loc)}: {name}: {text}"


def _valid_keys(annotation: object, loc: Path_) -> Iterator[str]:
    """The keys that the model has at ``loc``, looking through containers and unions."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType, Annotated):
        for member in get_args(annotation):
            yield from _valid_keys(member, loc)
    elif origin is not None and get_args(annotation):
        inner = [arg for arg in get_args(annotation) if arg is not Ellipsis]
        yield from _valid_keys(inner[-1], loc[1:])
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
        if not loc:
            yield from fields
        elif (field := fields.get(str(loc[0]))) is not None:
            yield from _valid_keys(field.annotation, loc[1:])
        else:  # a tag that pydantic put into the path of a union's error
            yield from _valid_keys(annotation, loc[1:])


class _Builder:
    """Turns a composed node into plain values, noting lines and refusing surprises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._constructor = _LOADER("")
        self._lines: dict[Path_, int] = {}
        self._nodes = 0

    def document(self, node: yaml.Node) -> Document:
        return Document(self._path, self._build(node, ()), self._lines)

    def _build(self, node: yaml.Node, loc: Path_) -> object:
        self._nodes += 1
        line = node.start_mark.line + 1
        if self._nodes > _MAX_NODES:
            raise InputError(
                f"more than {_MAX_NODES:,} values once its aliases are expanded",
                at=Location(self._path, line),
            )
        self._lines.setdefault(loc, line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, loc)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*loc, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, loc: Path_) -> dict[object, object]:
        built: dict[object, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._scalar(key_node)
            if key in built:
                first = self._lines[*loc, str(key)]
                raise InputError(
                    f"key {key!r} stands twice (first in line {first})",
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
