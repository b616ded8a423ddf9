"""What model.yaml says of a sample's correct answer, and the same with its files read."""

import base64
import datetime
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, JsonValue, RootModel, model_validator

from harness.core import document
from harness.core.document import Camel
from harness.core.errors import InputError
from harness.core.form import Sha256
from harness.models import source
from harness.models.answer import Expected, Function, Json, Tolerance
from harness.models.source import Source

Status = Annotated[int, Field(ge=100, le=599)]
_KINDS = ("answer", "text", "contains", "pattern", "sha256", "image", "json_schema", "function")


class Expectation(Camel):
    """What is known of the correct answer. Each key that stands here has to hold.

    Attributes:
        status: of the answer; alone, it is all that is checked.
        answer: the part of the JSON that is written here.
        tolerance: for numbers of ``answer`` and for ``image``.
        text: the whole answer.
        contains: texts that are in it.
        pattern: a regular expression that is found in it.
        sha256: of its bytes.
        image: a picture that it has to be close to.
        json_schema: a JSON Schema, or the file with one.
        function: a file with ``check(body: bytes) -> str | None``, which says what is wrong.
    """

    status: Status = 200
    answer: JsonValue = None
    tolerance: Tolerance = Tolerance()
    text: str | None = None
    contains: str | tuple[str, ...] = ()
    pattern: str | None = None
    sha256: Sha256 | None = None
    image: Source | None = None
    json_schema: Source | dict[str, JsonValue] | None = None
    function: Source | None = None

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        if not self.model_fields_set - {"tolerance"}:
            raise ValueError(f"one of: status, {', '.join(_KINDS)}")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"pattern is not a regular expression: {error}") from error
        return self

    @property
    def has_json(self) -> bool:
        """Whether a part of the answer's JSON is written here (null is one, too)."""
        return "answer" in self.model_fields_set


class Recorded(Camel):
    """Where an expectation that a server's own answers gave comes from.

    Attributes:
        url: the server that was asked.
        at: when.
        version: of the model that answered, if the server told.
        answers: how many there were.
        concurrency: how many requests were sent at once, so that batches form.
    """

    url: str
    at: Annotated[datetime.datetime, Field(strict=False)]
    version: str = ""
    answers: Annotated[int, Field(ge=1)]
    concurrency: tuple[int, ...]

    def __str__(self) -> str:
        return f"recorded {self.at:%Y-%m-%d} from {self.url}"


class _SchemaFile(RootModel[dict[str, JsonValue]]):
    """A file that holds a JSON Schema, as JSON or YAML."""


def sources(expectation: Expectation | None) -> Iterator[str]:
    """The files that it names."""
    if expectation:
        named = (expectation.image, expectation.json_schema, expectation.function)
        yield from (each for each in named if isinstance(each, str))


def resolve(expectation: Expectation, folder: Path) -> Expected:
    """The expectation with its files read; ``folder`` is the model's own.

    Raises:
        InputError: a file is missing, or the schema is none.
    """
    function = expectation.function and source.resolve(expectation.function, folder)
    image = expectation.image and source.resolve(expectation.image, folder).read_bytes()
    contains = expectation.contains
    return Expected(
        status=(expectation.status,),
        answer=expectation.answer,
        tolerance=expectation.tolerance if expectation.has_json or image else None,
        text=expectation.text,
        contains=(contains,) if isinstance(contains, str) else contains,
        pattern=expectation.pattern,
        sha256=expectation.sha256,
        image=base64.b64encode(image).decode() if image else None,
        json_schema=_schema(expectation, folder),
        function=Function(path=str(function), source=function.read_text(encoding="utf-8"))
        if function
        else None,
    )


def with_reference(expected: Expected, right: Json | bytes, tolerance: Tolerance) -> Expected:
    """The expectation, and what the model's reference says of the whole answer."""
    if not isinstance(right, bytes):
        return expected.model_copy(update={"answer": right, "tolerance": tolerance})
    from harness.models import image

    if tolerance.image and image.is_image(right):
        picture = base64.b64encode(right).decode()
        return expected.model_copy(update={"image": picture, "tolerance": tolerance})
    sha256 = hashlib.sha256(right).hexdigest()
    return expected.model_copy(update={"sha256": sha256, "tolerance": None})


def _schema(expectation: Expectation, folder: Path) -> dict[str, JsonValue] | None:
    schema, place = expectation.json_schema, folder / "model.yaml"
    if isinstance(schema, str):
        place = source.resolve(schema, folder)
        schema = document.load(place, _SchemaFile).root
    if schema is None:
        return None
    import jsonschema

    try:
        jsonschema.validators.validator_for(schema).check_schema(dict(schema))
    except jsonschema.exceptions.SchemaError as error:
        raise InputError(f"not a JSON Schema: {error.message[:200]}", at=place) from error
    return schema
