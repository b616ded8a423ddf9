"""YAML files, parsed once at the edge into frozen pydantic models, with the line of every error.

    class Settings(Strict):
        replicas: int

    settings = load(Path("settings.yaml"), Settings)

A ``Strict`` model refuses unknown keys and silent conversions (``version: 1.0`` is a number, not
a version), and what it refuses is reported as ``file:line`` with the nearest valid key.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, TypeVar, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from harness.core.errors import InputError
from harness.core.problem import Problem
from harness.core.suggest import did_you_mean
from harness.core.values import KeyPath
from harness.core.yamlfile import Document, parse, read_text

__all__ = [
    "Camel",
    "Document",
    "ModelT",
    "Strict",
    "load",
    "parse",
    "read_text",
    "validate",
]


class Strict(BaseModel):
    """A frozen model that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Camel(Strict):
    """Keys in YAML are camelCase, as TorchServe and Kubernetes write theirs."""

    model_config = ConfigDict(alias_generator=to_camel)


ModelT = TypeVar("ModelT", bound=BaseModel)


def load(path: Path, model: type[ModelT]) -> ModelT:
    """Read the one document of ``path`` as a ``model``.

    Raises:
        InputError: the file cannot be read, is not one YAML document, or does not fit.
    """
    return load_text(read_text(path), path, model)


def load_text(text: str, path: Path, model: type[ModelT]) -> ModelT:
    """The same of a text; ``path`` is only for the errors.

    Raises:
        InputError: it is not one YAML document, or does not fit.
    """
    documents = parse(text, path)
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
        details = error.errors()
        # Of a union's members, that one has a better reason that the value has the form of.
        reasons = {_name(each) for each in details if not each["type"].endswith("_type")}
        problems = [
            _problem(document, model, each)
            for each in details
            if _name(each) not in reasons or not each["type"].endswith("_type")
        ]
        raise InputError.of(problems) from None


_MEMBER = re.compile(r"\[|^constrained-")


def _name(detail: ErrorDetails) -> str:
    # pydantic puts the members of a union into the path too, such as dict[str,int].
    return ".".join(str(part) for part in detail["loc"] if not _MEMBER.search(str(part)))


def _problem(document: Document, model: type[BaseModel], detail: ErrorDetails) -> Problem:
    loc, name = tuple(detail["loc"]), _name(detail)
    text = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        valid = [key for key in _valid_keys(model, loc[:-1]) if key != loc[-1]]
        text = "unknown key" + did_you_mean(str(loc[-1]), valid)
    elif detail["type"] == "union_tag_invalid":
        key, tag = str(detail["ctx"]["discriminator"]).strip("'"), str(detail["ctx"]["tag"])
        tags = str(detail["ctx"]["expected_tags"]).replace("'", "").split(", ")
        near = did_you_mean(tag, tags)
        text = f"unknown {key} {tag}{near or '; one of: ' + ', '.join(tags)}"
        loc = (*loc, key)
    elif detail["type"] == "string_type":
        text = f'must be text: quote it as "{detail["input"]}"'
    return Problem(f"{name}: {text}" if name else text, document.at(loc))


def _valid_keys(annotation: object, loc: KeyPath) -> Iterator[str]:
    """The keys that the model has at ``loc``, looking through containers and unions."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType, Annotated):
        for member in get_args(annotation):
            yield from _valid_keys(member, loc)
    elif origin is not None and get_args(annotation):
        inner = [arg for arg in get_args(annotation) if arg is not Ellipsis]
        yield from _valid_keys(inner[-1], loc[1:])
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {
            key: field
            for name, field in annotation.model_fields.items()
            for key in _keys(name, field)
        }
        if not loc:
            yield from fields
        elif (field := fields.get(str(loc[0]))) is not None:
            yield from _valid_keys(field.annotation, loc[1:])
        else:  # a tag that pydantic put into the path of a union's error
            yield from _valid_keys(annotation, loc[1:])


def _keys(name: str, field: FieldInfo) -> list[str]:
    """The keys under which a file may give a field; the first is the documented one."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [field.alias or name]
