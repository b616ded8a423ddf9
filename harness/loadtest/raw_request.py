"""A request of one's own, as a profile writes it, and the bodies that it is sent with.

    - request:
        name: resnet
        path: /predictions/resnet-18
        form: {data: "@images/*.png"}      # one request for each picture, in turn

The words are those of curl where it has them: ``@FILE`` is a file, the rest is text.
"""

import hashlib
import itertools
import json
import mimetypes
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, JsonValue, model_validator
from urllib3.fields import RequestField
from urllib3.filepost import encode_multipart_formdata

from harness.core.document import Camel
from harness.core.errors import InputError
from harness.core.form import Form

Method = Annotated[
    str,
    Form(
        "GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS",
        "GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS",
    ),
]
Status = Annotated[int, Field(ge=100, le=599)]
HeaderName = Annotated[
    str, Form(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", "the name of a header: letters, digits and hyphens")
]
HeaderValue = Annotated[str, Form(r"[\x20-\x7e]*", "the value of a header: printable ASCII")]

PREDICTIONS = re.compile(r"/predictions/([^/?]+)(?:/([^/?]+))?")
"""The paths that gRPC can ask for: a model, and perhaps its version."""

_BYTES = "application/octet-stream"
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")
_BODIES = ("body", "json_", "form", "body_file", "body_files", "body_lines")
_MANY = 65_000  # requests of a plan: their numbers travel as 16 bits


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent: the bytes, the type that they have, and the fields of a form by name."""

    content: bytes = b""
    content_type: str | None = None
    fields: tuple[tuple[str, bytes], ...] = ()


class RawRequest(Camel):
    """A request that names no model.

    Attributes:
        method: POST where there is a body, else GET.
        path: begins with a slash; the query goes with it. With ``protocol: grpc`` it is
            /predictions/NAME or /predictions/NAME/VERSION.
        headers: they replace the load test's own of the same name; ``Host`` is sent once.
        body: text. ``json``: sent as JSON. ``form``: fields of a multipart form, ``@FILE`` is a
            file, and a list is several of one name. ``body_file``: a file. ``body_files``: many,
            by wildcard, a request for each. ``body_lines``: a file, a request for each line. Files
            are relative to the profile.
        status: what is expected; any other status is a failure. Of several the first is a right
            answer; the others are counted apart, neither as answers nor as failures.
        contains: text that the response must contain; without it, the response is incorrect.
        stream: with ``protocol: grpc``, ask by StreamPredictions.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    method: Method | None = None
    path: Annotated[str, Form(r"/[\x21-\x7e]*", "a path: it begins with a slash and has no space")]
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    body: str | None = None
    json_: JsonValue = Field(default=None, alias="json")
    form: dict[str, str | tuple[str, ...]] | None = None
    body_file: str | None = None
    body_files: str | None = None
    body_lines: str | None = None
    status: Status | Annotated[tuple[Status, ...], Field(min_length=1)] = 200
    contains: str | None = None
    stream: bool = False

    @property
    def statuses(self) -> tuple[int, ...]:
        """The statuses that are expected, the correct answer's first."""
        return self.status if isinstance(self.status, tuple) else (self.status,)

    @property
    def verb(self) -> str:
        """The method that is sent."""
        return self.method or ("POST" if self._kinds else "GET")

    @property
    def _kinds(self) -> list[str]:
        return [name for name in _BODIES if name in self.model_fields_set]

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if len(self._kinds) > 1:
            named = " and ".join(str(type(self).model_fields[each].alias) for each in self._kinds)
            raise ValueError(f"{named}: a request has one body")
        return self

    def bodies(self, folder: Path) -> list[Body]:
        """Every body that it is sent with, in order; an empty one where it has none.

        Args:
            folder: where its files are looked for.

        Raises:
            InputError: a file is missing or cannot be read, a wildcard fits nothing, or too much.
        """
        bodies = list(self._bodies(folder))
        if len(bodies) > _MANY:
            raise InputError(f"{self.name}: {len(bodies):,} bodies, a run takes {_MANY:,}")
        return bodies

    def _bodies(self, folder: Path) -> Iterator[Body]:
        if self.form is not None:
            yield from _forms(self.form, folder)
        elif self.body_files is not None:
            for path in _matching(self.body_files, folder):
                yield Body(_read(path))
        elif self.body_lines is not None:
            path = folder / self.body_lines
            lines = [line for line in _read(path).splitlines() if line.strip()]
            if not lines:
                raise InputError("has no line to send", at=path)
            yield from map(Body, lines)
        elif self.body_file is not None:
            yield Body(_read(folder / self.body_file))
        elif "json_" in self.model_fields_set:
            yield Body(json.dumps(self.json_, ensure_ascii=False).encode(), "application/json")
        else:
            yield Body((self.body or "").encode())


@dataclass(frozen=True, slots=True)
class _Part:
    """A field of a form: its content, and the name and type that go with it."""

    content: bytes
    file_name: str | None = None
    content_type: str | None = None

    def field(self, name: str) -> RequestField:
        field = RequestField(name, self.content, self.file_name)
        field.make_multipart(content_type=self.content_type)
        return field


def _forms(form: Mapping[str, str | tuple[str, ...]], folder: Path) -> Iterator[Body]:
    """A form for each file of its longest wildcard; shorter ones begin again."""
    fields = [
        (name, list(_parts(each, folder)))
        for name, value in form.items()
        for each in ((value,) if isinstance(value, str) else value)
    ]
    longest = max((len(parts) for _, parts in fields), default=1)
    in_turn = [(name, itertools.cycle(parts)) for name, parts in fields]
    for _ in range(longest):
        parts = [(name, next(each)) for name, each in in_turn]
        contents = tuple((name, part.content) for name, part in parts)
        digest = hashlib.sha256(repr(contents).encode()).hexdigest()
        encoded = [part.field(name) for name, part in parts]
        body, content_type = encode_multipart_formdata(encoded, boundary=digest[:32])
        yield Body(body, content_type, contents)


def _parts(value: str, folder: Path) -> Iterator[_Part]:
    """A field of a form: text, or ``@FILE``; with curl's ``;type=`` and ``;filename=``."""
    if not value.startswith("@"):
        text, typed, kind = value.rpartition(";type=")
        is_typed = typed and _TYPE.fullmatch(kind)
        yield _Part(text.encode(), content_type=kind) if is_typed else _Part(value.encode())
        return
    pattern, *options = value[1:].split(";")
    named = dict(option.strip().partition("=")[::2] for option in options)
    for path in _matching(pattern, folder):
        kind = named.get("type") or mimetypes.guess_type(path.name)[0] or _BYTES
        yield _Part(_read(path), named.get("filename") or path.name, kind)


def _matching(pattern: str, folder: Path) -> list[Path]:
    """The files that a wildcard fits, by name; without a wildcard the one file."""
    if not set(pattern) & set("*?["):
        return [folder / pattern]
    root = Path(pattern).anchor
    start = Path(root) if root else folder
    paths = sorted(each for each in start.glob(pattern.removeprefix(root)) if each.is_file())
    if not paths:
        raise InputError(f"no file fits {pattern}", at=folder)
    return paths


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=path) from error
