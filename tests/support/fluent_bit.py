"""Fluent Bit's own way of infra/fluent-bit: the script runs in LuaJIT, what is in C is played.

    documents = fluent_bit.documents(path, [b"2026-01-01T00:00:00.0Z stdout F hello"])

Played, by the source of 5.1.1: lines of a container's runtime, the order of filters, what a script
that fails does (its chunk goes on as it came), JSON, and how values get into Lua and out of it.
"""

import contextlib
import functools
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from unittest import mock

import yaml
from lupa import luajit21

from harness.core import repository
from harness.core.values import Value, items, mapping, text
from tests.support.container_log import ID, Document

AGENT = repository.find(Path(__file__)).root / "infra/fluent-bit/agent"
NOW = 1_767_225_600.25
"""Seconds of Unix time: what the clock says of a line that has no time."""

_CRI = re.compile(r"(?P<time>.+?) (?P<stream>stdout|stderr) (?P<_p>F|P) (?P<log>.*)", re.DOTALL)
_HELPERS = b"""
null = newproxy()
function typed(kind, value) return setmetatable(value, {type = kind}) end
function kind_of(value) local meta = getmetatable(value) return meta and meta.type end
function length_of(value) return #value end
"""
_ARRAY, _MAP = b"array", b"map"


@dataclass(frozen=True, slots=True)
class Event:
    """A record between two filters.

    Attributes:
        metadata: what is not part of the line.
        body: the record itself.
    """

    metadata: Any
    body: Any


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_JSON = json.JSONDecoder(parse_constant=_refuse)


class Script:
    """A filter's LuaJIT with the script in it.

    Args:
        keeps_null: ``enable_flb_null``; without it a key with null is not a key.
    """

    def __init__(self, *, keeps_null: bool) -> None:
        self._lua = luajit21.LuaRuntime(encoding=None, unpack_returned_tuples=True)
        self._keeps_null = keeps_null
        self._lua.execute(_HELPERS)
        with mock.patch.dict(os.environ, NODE_NAME="node-0"):
            self._lua.execute((AGENT / "agent.lua").read_bytes())

    def call(self, function: str, tag: str, event: Event) -> Event:
        """Return what one record becomes.

        Raises:
            luajit21.LuaError: the script failed.
        """
        run = self._lua.globals()[function.encode()]
        arguments = (self._into(event.metadata), self._into(event.body))
        code, _, metadata, body = run(tag.encode(), NOW, self._lua.table(), *arguments)
        assert code == 1, "the record is replaced"
        return Event(self._out_of(metadata), self._out_of(body))

    def _into(self, value: Any) -> Any:
        lua, table = self._lua.globals(), self._lua.table()
        match value:
            case None:
                return lua[b"null"] if self._keeps_null else None
            case dict():
                for key, each in value.items():
                    table[_bytes(key)] = self._into(each)
                return lua[b"typed"](_MAP, table)
            case list():
                for number, each in enumerate(value, start=1):
                    table[number] = self._into(each)
                return lua[b"typed"](_ARRAY, table)
            case str():
                return _bytes(value)
            case int() if not isinstance(value, bool):
                return float(value)
        return value

    def _out_of(self, value: Any) -> Any:
        lua = self._lua.globals()
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if luajit21.lua_type(value) == "userdata":
            return None
        if luajit21.lua_type(value) != "table":
            return value
        if lua[b"kind_of"](value) == _ARRAY:
            numbers = range(1, int(lua[b"length_of"](value)) + 1)
            return [self._out_of(value[number]) for number in numbers]
        return {self._out_of(key): self._out_of(each) for key, each in value.items()}


@functools.cache
def script_of(*, keeps_null: bool) -> Script:
    """The script that ships; it keeps nothing from one record to the next."""
    return Script(keeps_null=keeps_null)


def _bytes(value: str) -> bytes:
    return value.encode(errors="surrogateescape")


def documents(path: str, lines: Iterable[bytes]) -> list[Document]:
    """Return what the agent as it ships sends of a container's file, read at once.

    Args:
        path: where the file is on the node.
        lines: as the runtime wrote them, without their ends.
    """
    pipeline = _pipeline()
    (tag,) = (text(each, "tag") for each in items(pipeline, "inputs") if _reads(each, path))
    chunk = [Event({}, {**record, "path": path}) for record in _records(lines)]
    for each in items(pipeline, "filters"):
        if PurePosixPath(tag).match(text(each, "match")):
            chunk = _filter(chunk, mapping(each), tag)
    key = text(items(pipeline, "outputs")[0], "logs_body_key").removeprefix("$")
    return [_document(event, key) for event in chunk]


@functools.cache
def _pipeline() -> Value:
    return mapping(yaml.safe_load((AGENT / "agent.yml").read_text()), "pipeline")


def _reads(source: object, path: str) -> bool:
    """Whether an input takes a file: no star stands for a slash."""
    patterns, others = (text(source, key).split(",") for key in ("path", "exclude_path"))
    is_one_of = [
        any(PurePosixPath(path).match(each) for each in some if each) for some in (patterns, others)
    ]
    return is_one_of == [True, False]


def _records(lines: Iterable[bytes]) -> Iterator[dict[str, str]]:
    """The multiline parser `cri`: parts by stream; what has no such form is `log` alone."""
    parts: dict[str, dict[str, str]] = {}
    for line in lines:
        raw = line.decode(errors="surrogateescape")
        match = _CRI.fullmatch(raw)
        if not match:
            yield from parts.values()
            parts.clear()
            if raw:
                yield {"log": raw}
            continue
        stream = match["stream"]
        first = parts.setdefault(stream, {**match.groupdict(), "log": ""})
        first["log"] += match["log"]
        if match["_p"] == "F":
            yield parts.pop(stream)
    yield from parts.values()  # after 4 seconds


def _filter(chunk: list[Event], settings: Value, tag: str) -> list[Event]:
    if settings["name"] == "parser":
        return [_parse(event, text(settings, "key_name")) for event in chunk]
    script = script_of(keeps_null=settings.get("enable_flb_null") is True)
    try:
        return [script.call(text(settings, "call"), tag, event) for event in chunk]
    except luajit21.LuaError:
        return chunk


def _parse(event: Event, key: str) -> Event:
    """The filter `parser` with JSON: one object replaces the record, whatever text follows it."""
    values, rest = [], event.body.get(key, "")
    with contextlib.suppress(ValueError):
        while True:
            value, end = _JSON.raw_decode(rest)
            values, rest = [*values, value], rest[end:].lstrip()
    is_object = len(values) == 1 and isinstance(values[0], dict)
    return Event(event.metadata, values[0]) if is_object else event


def _document(event: Event, key: str) -> Document:
    """OpenTelemetry's record: the body below a key, or all of it where that is missing."""
    attributes = mapping(event.metadata, "otlp", "attributes")
    return Document(mapping(event.body.get(key, event.body)), text(attributes, ID))
