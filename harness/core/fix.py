"""The machine form of a fix: edits of YAML files and commands, from which its text is printed.

    fix = set_at(release.at("spec", "timeout"), "40m") + run("harness", "generate")
    str(fix)  # set spec.timeout to 40m in apps/…/helmrelease.yaml, then run `harness generate`

``harness.core.yaml_edit`` applies the edits.
"""

import enum
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, cast

from harness.core.location import Location, YamlPath
from harness.core.values import Key

_PLAIN = re.compile(r"[\w./$-][\w./@:=+$()*~ -]*", re.ASCII)

APPEND = "-"
"""As the last key: one more item of a list, as in a JSON Pointer (RFC 6901)."""


class Removed(enum.Enum):
    """The value of what shall no longer be there."""

    REMOVED = "removed"


REMOVED: Final = Removed.REMOVED


@dataclass(frozen=True)
class Edit:
    """A value of a YAML file that shall be another one, or ``REMOVED``."""

    file: Path
    field: YamlPath
    to: object

    def __str__(self) -> str:
        *parent, last = self.field.keys
        if self.to is REMOVED:
            return f"remove {self.field} from {self.file}"
        if last == APPEND:
            return f"add {flow(self.to)} to {YamlPath(tuple(parent))} in {self.file}"
        return f"set {self.field} to {flow(self.to)} in {self.file}"

    @property
    def row(self) -> dict[str, object]:
        """The same as JSON."""
        row: dict[str, object] = {"file": str(self.file), "path": list(self.field.keys)}
        if self.field.document:
            row["document"] = self.field.document
        if self.field.block:
            row["block"] = list(self.field.block)
        return row | ({"remove": True} if self.to is REMOVED else {"value": self.to})

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> Self:
        keys, block = (tuple(cast("list[Key]", row.get(name, []))) for name in ("path", "block"))
        field = YamlPath(keys, cast("int", row.get("document", 0)), block)
        return cls(Path(str(row["file"])), field, REMOVED if "remove" in row else row["value"])


@dataclass(frozen=True)
class Fix:
    """Edits, and the commands to run after them.

    Attributes:
        advice: what a person has to do, where that is not said by the rule, and no edit does it.
        possible: False where a part of it is at no place that can be edited; such a fix is false,
            as an empty one is, and whatever it is added to becomes so: half a fix is none.
    """

    edits: tuple[Edit, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    advice: str = ""
    possible: bool = True

    def __add__(self, other: "Fix") -> "Fix":
        edits = [each for each in other.edits if each not in self.edits]
        commands = dict.fromkeys((*self.commands, *other.commands))
        possible = self.possible and other.possible
        return Fix((*self.edits, *edits), tuple(commands), self.advice or other.advice, possible)

    def __bool__(self) -> bool:
        return self.possible and bool(self.edits or self.commands)

    def __str__(self) -> str:
        commands = " and ".join(f"`{shlex.join(command)}`" for command in self.commands)
        edits = ", ".join(map(str, self.edits))
        parts = (edits, commands and f"run {commands}") if self else ()
        return ", then ".join(filter(None, parts)) or self.advice

    @property
    def row(self) -> dict[str, object]:
        """The same as JSON."""
        return {
            "edits": [each.row for each in self.edits],
            "commands": [list(each) for each in self.commands],
        } | ({"advice": self.advice} if self.advice else {})

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> Self:
        """The fix that a cache has kept."""
        edits = cast("list[Mapping[str, object]]", row["edits"])
        commands = cast("list[list[str]]", row["commands"])
        advice = str(row.get("advice", ""))
        return cls(tuple(map(Edit.from_row, edits)), tuple(map(tuple, commands)), advice)


NOTHING = Fix()


def set_at(location: Location, to: object) -> Fix:
    """Another value at a place; not possible where that is not a single value of a YAML file.

    Args:
        location: from ``Object.at``, ``Document.at`` or another trace.
        to: what JSON can hold, or ``REMOVED``.
    """
    if location.field is None:
        return Fix(possible=False)
    return Fix((Edit(location.path, location.field, to),))


def advise(advice: str) -> Fix:
    """A fix in words: what a person has to do."""
    return Fix(advice=advice)


def run(*words: str) -> Fix:
    """A command to run."""
    return Fix(commands=(words,))


def flow(plain: object) -> str:
    """A plain on one line, as YAML; text that would be read as something else in quotes."""
    if isinstance(plain, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(each)}" for key, each in plain.items()) + "}"
    if isinstance(plain, list | tuple):
        return f"[{', '.join(map(flow, plain))}]"
    if isinstance(plain, str) and _PLAIN.fullmatch(plain) and _is_plain_in_yaml(plain):
        return plain
    return json.dumps(plain, ensure_ascii=False)


def _is_plain_in_yaml(words: str) -> bool:
    import yaml  # here: `harness --help` needs no fix

    return bool(yaml.safe_load(f"[{words}]") == [words])
