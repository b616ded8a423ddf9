"""What several answers to one request agree on: the expectation that a correct answer has to meet.

A number's tolerance is four times what was seen of its spread, and never less than other hardware
may change. What varies more, or a text that varies, is left out and named.
"""

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.errors import InputError
from harness.models import image
from harness.models.answer import Json
from harness.models.expectation import Expectation

# Another GPU, other kernels and other batch sizes change the last digits of float32, not more.
RELATIVE = 0.01
ABSOLUTE = 0.001
_IMAGE = 0.02  # of white: what another encoder or rounding does
_MARGIN = 4  # times the spread that a few answers have shown
_STEADY = 0.05  # of the number: what varies more than this is not a rounding error
_MOST_IMAGE = 0.25  # two pictures farther apart than this have nothing in common


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Derived:
    """What was learned of a sample.

    Attributes:
        varying: parts of the answer that differ from one to the next, and are not checked.
        picture: the right picture, and the ``suffix`` of its file; ``expectation`` lacks its path.
    """

    name: str
    expectation: Expectation
    answers: int
    varying: tuple[str, ...] = ()
    picture: bytes | None = None
    suffix: str = ""


def derive(name: str, answers: Sequence[Answer]) -> Derived:
    """The expectation that all ``answers`` meet.

    Raises:
        InputError: one of them is an error, or their statuses differ.
    """
    for each in answers:
        if each.status >= 400:
            text = each.body[:300].decode(errors="replace")
            raise InputError(
                f"{name}: HTTP {each.status}, and an error is not recorded: {text}",
                hint="is it the right file and --content-type? Then look at the server's log",
            )
    statuses = sorted({each.status for each in answers})
    if len(statuses) > 1:
        raise InputError(f"{name}: the server answered with the statuses {statuses}")
    bodies = [each.body for each in answers]
    known = {} if statuses == [200] else {"status": statuses[0]}
    parsed = [_parse(body) for body in bodies]
    if all(each is not None for each in parsed):
        return _json(name, [each[0] for each in parsed if each], known)
    if all(image.is_image(body) for body in bodies):
        return _picture(name, bodies, known)
    return _bytes(name, bodies, known)


def _parse(body: bytes) -> tuple[Json] | None:
    try:
        return (json.loads(body),)
    except (ValueError, RecursionError):
        return None


def _json(name: str, values: Sequence[Any], known: Mapping[str, Any]) -> Derived:
    agreement = _Agreement()
    agreed = agreement.on(values)
    expect: dict[str, Any] = dict(known)
    if agreed is not _VARIES:
        expect["answer"] = agreed
        if agreement.spreads:
            expect["tolerance"] = _tolerance(agreement.spreads)
    if agreement.varying:
        expect["jsonSchema"] = _schema(values)
    return Derived(name, Expectation.model_validate(expect), len(values), tuple(agreement.varying))


_VARIES = object()
"""Stands for a part on which the answers do not agree."""


class _Agreement:
    """The common part of several JSON values.

    Attributes:
        varying: paths of the parts on which they do not agree.
        spreads: each number that is not whole, with the farthest that one was from it.
    """

    def __init__(self) -> None:
        self.varying: list[str] = []
        self.spreads: list[tuple[float, float]] = []

    def on(self, values: Sequence[Any], at: str = "") -> Any:
        """The common part, or ``_VARIES``."""
        first = values[0]
        if all(isinstance(each, dict) for each in values):
            return self._on_objects(values, at)
        if all(isinstance(each, list) and len(each) == len(first) for each in values):
            columns = enumerate(zip(*values, strict=True))
            items = [self.on(column, f"{at}[{index}]") for index, column in columns]
            # A list is compared as a whole: without one of its items it says nothing.
            return _VARIES if any(element is _VARIES for element in items) else items
        if all(type(each) is type(first) and each == first for each in values):
            if isinstance(first, float):
                self.spreads.append((first, 0.0))
            return first
        if all(_is_number(each) for each in values):
            return self._on_numbers(values, at)
        return self._vary(at)

    def _on_objects(self, values: Sequence[Any], at: str) -> Any:
        common = {}
        for key in dict.fromkeys(key for each in values for key in each):
            path = f"{at}.{key}" if at else key
            if all(key in each for each in values):
                agreed = self.on([each[key] for each in values], path)
            else:
                agreed = self._vary(path)
            if agreed is not _VARIES:
                common[key] = agreed
        return common if common or not any(values) else _VARIES

    def _on_numbers(self, values: Sequence[float], at: str) -> Any:
        middle = statistics.median(values)
        spread = max(abs(each - middle) for each in values)
        if not spread <= _STEADY * abs(middle) + ABSOLUTE:
            return self._vary(at)
        self.spreads.append((middle, spread))
        return middle

    def _vary(self, at: str) -> Any:
        self.varying.append(at or "answer")
        return _VARIES


def _is_number(each: Any) -> bool:
    return isinstance(each, int | float) and not isinstance(each, bool)


def _tolerance(spreads: Sequence[tuple[float, float]]) -> dict[str, float]:
    """The smallest tolerance that leaves each number its margin."""
    beyond = max(_MARGIN * spread - RELATIVE * abs(each) for each, spread in spreads)
    return {"absolute": max(ABSOLUTE, float(f"{beyond:.2g}")), "relative": RELATIVE}


def _schema(values: Sequence[Any]) -> dict[str, Any]:
    """A JSON Schema of what the values have in common: types and keys."""
    types = sorted({_type(each) for each in values})
    schema: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    if types == ["object"]:
        keys = [key for key in values[0] if all(key in each for each in values)]
        schema["required"] = keys
        schema["properties"] = {key: _schema([each[key] for each in values]) for key in keys}
    elif types == ["array"] and (items := [element for each in values for element in each]):
        schema["items"] = _schema(items)
        schema["minItems"] = min(len(each) for each in values)
    return schema


def _type(each: Json) -> str:
    match each:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _picture(name: str, bodies: Sequence[bytes], known: Mapping[str, Any]) -> Derived:
    farthest = max(image.between(bodies[0], body) for body in bodies)
    if farthest > _MOST_IMAGE:
        expect = {**known, "status": known.get("status", 200)}
        return Derived(name, Expectation.model_validate(expect), len(bodies), ("the picture",))
    limit = max(_IMAGE, float(f"{_MARGIN * farthest:.2g}"))
    expect = {**known, "image": "picture", "tolerance": {"image": min(1.0, limit)}}
    suffix = ".png" if bodies[0].startswith(b"\x89PNG") else ".jpg"
    return Derived(
        name,
        Expectation.model_validate(expect),
        len(bodies),
        picture=bodies[0],
        suffix=suffix,
    )


def _bytes(name: str, bodies: Sequence[bytes], known: Mapping[str, Any]) -> Derived:
    same = all(body == bodies[0] for body in bodies)
    text = _text(bodies[0])
    expect: dict[str, Any]
    if text is not None:
        expect = {**known, "text": text} if same else {**known, "pattern": r"\S"}
        varying = () if same else ("the text",)
    elif same:
        expect, varying = {**known, "sha256": hashlib.sha256(bodies[0]).hexdigest()}, ()
    else:
        expect, varying = {**known, "status": known.get("status", 200)}, ("the bytes",)
    return Derived(name, Expectation.model_validate(expect), len(bodies), varying)


def _text(body: bytes) -> str | None:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    printable = all(character.isprintable() or character in "\r\n\t" for character in text)
    return text if printable else None
