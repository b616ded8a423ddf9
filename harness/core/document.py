"""YAML files, parsed once at the edge into frozen pydantic models, with the line of every error.

    class Settings(Strict):
        replicas: int

    settings = load(Path("settings.yaml"), Settings)

A ``Strict`` model refuses unknown keys and silent conversions (``version: 1.0`` is a number, not
a version), and what it refuses is reported as ``file:line`` with the nearest valid key.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from harness.core.errors import InputError
from harness.core.problem import Problem
from harness.core.refusal import refusals
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


def stale(expected: Mapping[Path, str]) -> dict[Path, str]:
    """The generated files that are missing or old, with what they should hold.

    Raises:
        InputError: one is not text.
    """
    return {
        path: text
        for path, text in expected.items()
        if not path.is_file() or read_text(path) != text
    }


def validate(document: Document, model: type[ModelT]) -> ModelT:
    """Turn a document into a ``model``.

    Raises:
        InputError: every problem, each a line ``file:line: key: what is wrong``.
    """
    try:
        # By way of JSON: strict still, but a list may become a tuple and a string an enum.
        return model.model_validate_json(json.dumps(document.value, default=str))
    except ValidationError as error:
        raise InputError.of(
            Problem(each.message, document.at(each.path))
            for each in refusals(error, document.value, model)
        ) from None
