"""The documented values of a chart.

A key of values.yaml is documented by the comment above it:

    # -- Seconds that a stopping pod waits. More text may follow
    # on further lines.
    # @schema {minimum: 1}
    drainSeconds: 30

A key with such a comment is a value, whatever its default is; a mapping without one is a group
of values. Anything else is a mistake.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from harness.core import yamlfile
from harness.core.errors import InputError, Location
from harness.core.yamlfile import Document

_TEXT = "# --"
_SCHEMA = "# @schema"
TYPED = frozenset({"$ref", "enum", "type"})
"""Keys of a JSON Schema that say which type a value has; without them its default does."""


@dataclass(frozen=True, slots=True)
class Value:
    """One documented value: its keys from the top, what it means, and its JSON Schema."""

    keys: tuple[str, ...]
    default: object
    text: str
    schema: Mapping[str, object]

    @property
    def name(self) -> str:
        return ".".join(self.keys)


def read(path: Path) -> tuple[Value, ...]:
    """The documented values of a values.yaml, in its order.

    Raises:
        InputError: the file is not YAML, a key has no comment, or a null no type.
    """
    text = yamlfile.read_text(path)
    documents = yamlfile.parse(text, path)
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise InputError("values are one YAML mapping", at=path)
    return tuple(_walk(documents[0], text.splitlines(), (), documents[0].value))


def _walk(
    source: Document, lines: list[str], keys: tuple[str, ...], values: Mapping[str, object]
) -> Iterator[Value]:
    for key, default in values.items():
        at = source.at((*keys, key))
        text, schema = _comment(lines[: source.lines[*keys, key] - 1], at)
        if text and default is None and not TYPED & schema.keys():
            name = ".".join((*keys, key))
            hint = f"write `{_SCHEMA} {{type: [integer, 'null']}}` above it"
            raise InputError(f"{name} is null, which says no type", at=at, hint=hint)
        if text:
            yield Value((*keys, key), default, text, schema)
        elif isinstance(default, dict) and default:
            yield from _walk(source, lines, (*keys, key), default)
        else:
            name = ".".join((*keys, key))
            raise InputError(
                f"{name} is not documented", at=at, hint=f"write `{_TEXT} what it is for` above it"
            )


def _comment(lines: list[str], at: Location) -> tuple[str, Mapping[str, object]]:
    """The text and the schema of the comment that ``lines`` end with."""
    block: list[str] = []
    for line in reversed(lines):
        if not line.lstrip().startswith("#"):
            break
        block.insert(0, line.strip())
    starts = [index for index, line in enumerate(block) if line.startswith(_TEXT)]
    if not starts:
        return "", {}
    text: list[str] = []
    schema: Mapping[str, object] = {}
    for line in block[starts[-1] :]:
        if line.startswith(_SCHEMA):
            schema = _schema(line.removeprefix(_SCHEMA), at)
        else:
            text.append(line.removeprefix(_TEXT).removeprefix("#").strip())
    return " ".join(text), schema


def _schema(text: str, at: Location) -> Mapping[str, object]:
    value = yamlfile.parse(text, at.path)[0].value
    if not isinstance(value, dict):
        raise InputError(f"{_SCHEMA} takes a mapping: {text.strip()}", at=at)
    return cast("Mapping[str, object]", value)
