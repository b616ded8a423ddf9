"""Follows the path of a rendered field down the text of the Helm template that made it.

A template is not YAML, so this goes by keys, indentation and dashes, the way a person reads it;
``include`` leads on into the named template. What it reaches is a line, and the values
(``.Values.a.b``) that the line speaks of.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.core.values import Key, KeyPath, dig, text

_VALUES = re.compile(r"\.Values\.([A-Za-z0-9_.]+)")
_INCLUDE = re.compile(r'include "([^"]+)"')
_DEFINE = re.compile(r'\{\{-?\s*define "([^"]+)"')
_DOT = re.compile(r"\{\{-?\s*(toYaml )?\.[\s}]")
_SCOPE = re.compile(r"\{\{-?\s*(with|range)\b.*\.Values")
_NAMES = ("name", "key", "topologyKey", "mountPath")  # what tells one item of a list from another


@dataclass(frozen=True, slots=True)
class Line:
    """A line, or the part of it behind a dash. ``control`` lines hold template actions alone."""

    path: str
    number: int
    indent: int
    text: str
    dash: bool = False

    @property
    def control(self) -> bool:
        return self.text.startswith("{{")


Block = Sequence[Line]


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a path leads: the line, how many of its keys, and the values that are used there.

    Where one of the values has the key's own name, the others only say whether it is used.
    """

    line: Line
    matched: int
    values: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Template:
    """A template and the named ones that it may include."""

    block: Block
    named: Mapping[str, Block]

    def follow(self, value: object, path: KeyPath) -> Reached | None:
        """Walk down as far as the text has the path, or return None if it is empty."""
        block, reached, matched = self.block, None, 0
        for position, key in enumerate(path):
            step = self._step(block, key, dig(value, *path[:position]))
            if step is None:
                break
            reached, block = step
            matched = position + 1
        if reached is None:
            return Reached(self.block[0], 0, ()) if self.block else None
        value_paths = tuple(dict.fromkeys(self._values(reached, block)))
        alike = tuple(each for each in value_paths if each[-1] in path[:matched][-1:])
        return Reached(reached, matched, alike or value_paths)

    def _step(
        self, block: Block, key: Key, around: object, above: frozenset[str] = frozenset()
    ) -> tuple[Line, Block] | None:
        """The line and the body of a key; ``above`` are the templates that led here."""
        child = _item(block, key, around) if isinstance(key, int) else _child(block, key)
        if child is None:
            for name in dict.fromkeys(_includes(block)):
                inner = self.named.get(name, ()) if name not in above else ()
                if deeper := self._step(inner, key, around, above | {name}):
                    return deeper
        return child

    def _values(self, line: Line, body: Block) -> Iterator[tuple[str, ...]]:
        """The values behind a line; behind a key that an action fills, those of the action."""
        filled = line.text.endswith(":") and all(each.control for each in body)
        for each in (line, *body) if filled else (line,):
            yield from _value_paths(each.text)
            for name in _INCLUDE.findall(each.text):
                for inner in self.named.get(name, ()):
                    yield from _value_paths(inner.text)
            if _DOT.search(each.text):
                yield from self._scope(each)

    def _scope(self, line: Line) -> Iterator[tuple[str, ...]]:
        above = [each for each in self.block if each.number < line.number]
        scopes = [each.text for each in above if _SCOPE.match(each.text)]
        yield from _value_paths(scopes[-1]) if scopes else ()


def parse(files: Mapping[str, str], template: str) -> Template:
    """The template at a path among the texts of a chart's templates."""
    named: dict[str, Block] = {}
    for path, content in files.items():
        starts = [*_DEFINE.finditer(content)]
        ends = [each.start() for each in starts[1:]] + [len(content)]
        for start, end in zip(starts, ends, strict=False):
            first = content.count("\n", 0, start.end()) + 1
            named[start[1]] = list(_lines(path, content[start.end() : end], first))
    return Template(list(_lines(template, files.get(template, ""), 1)), named)


def _lines(path: str, content: str, first: int) -> Iterator[Line]:
    for number, raw in enumerate(content.split("\n"), start=first):
        words = raw.strip()
        indent = len(raw) - len(raw.lstrip())
        if not words or words.startswith(("#", "-}}", "---")):
            continue
        while words == "-" or words.startswith("- "):
            yield Line(path, number, indent, words, dash=True)
            words, indent = words[2:].strip(), indent + 2
        if words:
            yield Line(path, number, indent, words)


def _body(block: Block, index: int, *, dash: bool) -> Block:
    """What stands below the line at ``index``: a key's value, or an item's content."""
    indent = block[index].indent
    end = index + 1
    while end < len(block):
        line = block[end]
        inside = line.indent > indent or (line.dash and line.indent == indent and not dash)
        if not line.control and not inside:
            break
        end += 1
    return block[index + 1 : end]


def _child(block: Block, key: str) -> tuple[Line, Block] | None:
    level = next((line.indent for line in block if not line.control), 0)
    shape = re.compile(rf"""["']?{re.escape(key)}["']?:(\s|$)""")
    for index, line in enumerate(block):
        plain = not line.control and not line.dash
        if plain and line.indent == level and shape.match(line.text):
            return line, _body(block, index, dash=False)
    return None


def _item(block: Block, key: int, around: object) -> tuple[Line, Block] | None:
    level = next((line.indent for line in block if line.dash), None)
    starts = [i for i, line in enumerate(block) if line.dash and line.indent == level]
    bodies = [_body(block, start, dash=True) for start in starts]
    for name in _NAMES:
        label = text(around, key, name)
        for start, body in zip(starts, bodies, strict=True):
            if label and any(line.text == f"{name}: {label}" for line in body):
                return block[start], body
    # An argument of a command begins as its line does, whatever the lines around it depend on.
    argument = around[key] if isinstance(around, list) and key < len(around) else None
    for start, body in zip(starts, bodies, strict=True):
        beginning = block[start].text.removeprefix("- ").partition("{{")[0]
        if beginning and isinstance(argument, str) and argument.startswith(beginning):
            return block[start], body
    # A range makes many items of one; where the text has as many as the render, they are the same.
    if len(starts) == 1 or (isinstance(around, list) and len(starts) == len(around)):
        which = min(key, len(starts) - 1)
        return block[starts[which]], bodies[which]
    return None


def _includes(block: Block) -> Iterator[str]:
    for line in block:
        if line.control:
            yield from _INCLUDE.findall(line.text)


def _value_paths(words: str) -> Iterator[tuple[str, ...]]:
    for path in _VALUES.findall(words):
        yield tuple(path.strip(".").split("."))
