"""No sentence of pydantic's reaches a person, whatever one of our models refuses."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails
from pydantic_core._pydantic_core import list_all_errors

import harness
from harness.core.document import Camel, Strict
from harness.core.refusal import refusals

# What somebody may have written: each kind of value, and some that are nearly right.
WRITTEN: list[object] = [
    *(None, "", "x", " ", "é", "UNSET", "1", "true", "2027-06-31", "x" * 300),
    *(-1, 0, 1, 10**30, 0.5, 1e400, True),
    *([], [None], ["x"], [1], [{}], {}, {"x": 1}, {"kind": "x"}, {"": None}),
]
# Locust's and pytest's own files, and what runs when it is imported.
_RUN_BY_OTHERS = ("harness.loadtest.generator", "harness.smoke.suite", "harness.__main__")
RAW = re.compile(
    r"Input should|Field required|not permitted|should match|should have|unable to|Unable to"
    r"|Value error|Assertion failed|Keys should|Invalid JSON|valid dictionary|does not fit here"
)


def _models() -> Iterator[type[BaseModel]]:
    """Every model of the harness that a file, an answer or a variable is read into."""
    for module in pkgutil.walk_packages(harness.__path__, "harness."):
        if not module.name.startswith(_RUN_BY_OTHERS):
            importlib.import_module(module.name)
    waiting: list[type[BaseModel]] = [BaseModel]
    known = set()
    while waiting:
        for each in waiting.pop().__subclasses__():
            if each.__module__.startswith("harness.") and each not in known:
                known.add(each)
                yield each
            waiting.append(each)


MODELS = sorted(_models(), key=lambda model: (model.__module__, model.__qualname__))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.__qualname__))
def test_a_model_refuses_in_plain_sentences_that_name_the_key(model: type[BaseModel]) -> None:
    keys = [field.alias or name for name, field in model.model_fields.items()]
    written: list[object] = [*WRITTEN, {}, {"no such key": 1}]
    written += [{key: value} for key in keys for value in WRITTEN]
    written += [{key: [value]} for key in keys for value in WRITTEN]
    written += [{key: {inner: 1}} for key in keys for inner in keys]
    for value in written:
        try:
            model.model_validate_json(json.dumps(value))
        except ValidationError as error:
            for refusal in refusals(error, value, model):
                assert not RAW.search(refusal.message), refusal.message
                assert refusal.path == () or refusal.message.startswith(str(refusal.path[0]))


@pytest.mark.parametrize("kind", list_all_errors(), ids=lambda kind: str(kind["type"]))
def test_no_type_of_error_is_told_in_the_words_of_pydantic(kind: dict[str, Any]) -> None:
    context = kind["example_context"] and dict(kind["example_context"])
    if kind["type"] in {"value_error", "assertion_error"}:
        context = {"error": ValueError("our own sentence")}
    detail = InitErrorDetails(type=kind["type"], loc=("key",), input=1, ctx=context or {})
    error = ValidationError.from_exception_data("Model", [detail])

    (refusal,) = refusals(error, {"key": 1})

    assert kind["message_template_python"] not in refusal.message
    assert not RAW.search(refusal.message), refusal.message


class Room(Strict):
    seats: int
    doors: tuple[str, ...] | str = ()


class House(Camel):
    built: date | None = None
    first_room: Room | None = None
    rooms: dict[str, Room] = {}  # noqa: RUF012 - pydantic copies it


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        ({"built": "2027-06-31"}, ["built: '2027-06-31' is not a day, as 2027-06-30"]),
        ({"firstRoom": {"seat": 1}}, ["firstRoom.seat: unknown key; did you mean seats?"]),
        ({"firstRoom": {}}, ["firstRoom.seats is missing"]),
        ({"firstRoom": 3}, ["firstRoom: 3 is not a mapping of keys"]),
        ({"garden": 1}, ["garden: unknown key; known are built, firstRoom, rooms"]),
        ({"rooms": {"a": {"seats": "two"}}}, ["rooms.a.seats: 'two' is not a whole number"]),
        (
            {"rooms": {"a": {"seats": 1, "doors": 2}}},
            ["rooms.a.doors: 2 is not a list or text"],
        ),
        (
            {"rooms": {"a": {"seats": 1, "doors": ["x", 2]}}},
            ['rooms.a.doors.1: must be text: quote it as "2"'],
        ),
    ],
)
def test_a_refusal_says_what_is_written_and_what_may_be(value: object, messages: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        House.model_validate_json(json.dumps(value))
    assert [each.message for each in refusals(caught.value, value, House)] == messages
