"""Why a model refuses a value, in plain sentences: which key, what is written, what is allowed.

    except ValidationError as error:
        for each in refusals(error, value):
            yield Problem(each.message, document.at(each.path))

pydantic's own sentences ("Input should be a valid integer", "Field required") say neither what was
written nor, in the words of somebody who writes YAML, what is expected.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from harness.core.suggest import closest, did_you_mean
from harness.core.values import KeyPath

_LONG = 60  # characters of a value that a message repeats

_MAPPING, _LIST, _NUMBER, _WHOLE = "a mapping of keys", "a list", "a number", "a whole number"
_DAY, _MOMENT = "a day, as 2027-06-30", "a moment, as 2027-06-30T12:00:00+00:00"
_ALLOWED: Mapping[str, str] = {
    "string_type": "text",
    "string_unicode": "text",
    "string_too_short": "text of {min_length} or more characters",
    "string_too_long": "text of {max_length} or fewer characters",
    "string_pattern_mismatch": "text of the form {pattern}",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _WHOLE),
    "int_parsing_size": "a whole number that a computer counts with",
    **dict.fromkeys(("float_type", "float_parsing"), _NUMBER),
    "finite_number": "a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("dict_type", "model_type", "dataclass_type", "mapping_type"), _MAPPING),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), _LIST),
    "none_required": "null",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "{min_length} or more entries",
    "too_long": "{max_length} or fewer entries",
    "invalid_key": "a key that is text",
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), _DAY),
    "date_from_datetime_inexact": _DAY,
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_object_invalid"), _MOMENT),
    "datetime_from_date_parsing": _MOMENT,
    "timezone_aware": "a moment with its time zone, as 2027-06-30T12:00:00+00:00",
}
"""What is expected, by pydantic's type of error; anything else is only said not to fit."""

_CHOICE = re.compile(r"'((?:[^'\\]|\\.)*)'|([^\s,']+)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a model refuses.

    Attributes:
        path: leads to what is refused; where a key is missing, to where it would stand.
        message: begins with the key.
    """

    path: KeyPath
    message: str


def refusals(error: ValidationError, whole: object, model: type | None = None) -> list[Refusal]:
    """Each refusal once, however many types a value might have had.

    Args:
        error: what pydantic raised.
        whole: the value that was validated.
        model: what it was to become; with it, keys that are unknown are compared with known ones.
    """
    by_path: dict[KeyPath, list[ErrorDetails]] = {}
    for detail in error.errors():
        by_path.setdefault(tuple(_path(detail, whole)), []).append(detail)
    misspelt = {
        (*path[:-1], meant)
        for path, details in by_path.items()
        if details[0]["type"] == "extra_forbidden"
        for meant in closest(str(path[-1]), _known_keys(model, details[0]))
    }
    # A key that is missing under its right name has been found under the wrong one; and of a
    # union's members that one was meant of which something inside is refused.
    around = {path[:length] for path in by_path for length in range(len(path))}
    return [
        Refusal(path, _message(path, details, model))
        for path, details in by_path.items()
        if path not in (misspelt if details[0]["type"] == "missing" else around)
    ]


def first_refusal(error: Exception, text: str | bytes, model: type) -> str:
    """The first thing that is wrong with a JSON text, of whatever reading it raised."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    if not isinstance(error, ValidationError):
        return str(error)
    return json_refusals(error, text, model)[0].message


def json_refusals(error: ValidationError, text: str | bytes, model: type) -> list[Refusal]:
    """The refusals of a JSON text."""
    whole: object = None
    with contextlib.suppress(ValueError, RecursionError):  # the refusal is just that, then
        whole = json.loads(text)
    return refusals(error, whole, model)


def _path(detail: ErrorDetails, below: object) -> Iterator[str | int]:
    """Where an error is, without what pydantic puts into its path: the members of a union."""
    last = len(detail["loc"]) - 1
    for at, part in enumerate(detail["loc"]):
        is_here = (isinstance(below, Mapping) and part in below) or (
            isinstance(below, list) and isinstance(part, int) and part < len(below)
        )
        if is_here:
            below = below[part]  # type: ignore[index]
        if is_here or (at == last and detail["type"] == "missing"):
            yield part
    if detail["type"] == "union_tag_invalid":
        yield detail["ctx"]["discriminator"].strip("'")


def _message(path: KeyPath, details: list[ErrorDetails], model: type | None) -> str:
    name = ".".join(map(str, path))
    if details[0]["type"] == "missing":
        return f"{name} is missing"
    # Of a union's members, that one has a better reason that the value has the type of.
    reasons = [each for each in details if not each["type"].endswith("_type")] or details
    return ": ".join(filter(None, (name, _sentence(reasons, model))))


def _sentence(reasons: list[ErrorDetails], model: type | None) -> str:
    detail, context = reasons[0], reasons[0].get("ctx", {})
    shown = _shown(detail["input"])
    match detail["type"]:
        case "value_error" | "assertion_error":
            return str(context["error"])
        case "extra_forbidden":
            known = _known_keys(model, detail)
            near = did_you_mean(str(detail["loc"][-1]), known)
            return "unknown key" + (near or (f"; known are {', '.join(known)}" if known else ""))
        case "union_tag_invalid":
            return _none_of(context["tag"], context["expected_tags"])
        case "union_tag_not_found":
            return f"{context['discriminator']} is missing".replace("'", "")
        case "json_invalid":
            at = re.search(r"line (\d+) column (\d+)", context["error"])
            return "is not JSON" + (f": line {at[1]}, column {at[2]}" if at else "")
        case "string_type" | "form" if len(reasons) == 1 and isinstance(
            detail["input"], int | float
        ):
            return f'must be text: quote it as "{shown}"'
        case "string_too_short" if not detail["input"]:
            return "may not be empty"
        case "literal_error" | "enum" if len(reasons) == 1:
            return _none_of(detail["input"], context["expected"])
    allowed = dict.fromkeys(map(_expectation, reasons))
    return f"{shown} is not {' or '.join(allowed)}"


def _expectation(detail: ErrorDetails) -> str:
    match detail["type"]:
        case "form":  # harness.core.form
            return detail["msg"]
        case "literal_error" | "enum":
            return " or ".join(_choices(detail["ctx"]["expected"]))
    return _ALLOWED.get(detail["type"], "what fits here").format(**detail.get("ctx", {}))


def _none_of(choice: object, expected: str) -> str:
    choices = _choices(expected)
    near = did_you_mean(choice, choices) if isinstance(choice, str) else ""
    return f"{_shown(choice)} is none of {', '.join(choices)}{near}"


def _choices(expected: str) -> list[str]:
    """The values of pydantic's ``'a', 'b' or 2``."""
    return [quoted or bare for quoted, bare in _CHOICE.findall(expected) if quoted or bare != "or"]


def _shown(content: object) -> str:
    """A value as somebody wrote it, as far as a message repeats it."""
    if isinstance(content, Mapping | list | tuple):
        return "a list" if not isinstance(content, Mapping) else "a mapping"
    written = repr(content) if isinstance(content, str) else json.dumps(content, default=str)
    return written if len(written) <= _LONG else f"{written[:_LONG]}…"


def _known_keys(model: type | None, detail: ErrorDetails) -> list[str]:
    """The keys that may stand where an unknown one does."""
    *around, unknown = detail["loc"]
    known = _valid_keys(model, tuple(around)) if model else ()
    return [key for key in dict.fromkeys(known) if key != unknown]


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
