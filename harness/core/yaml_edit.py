"""Edits a YAML file's text: one value changes, all other lines, comments and their order stay.

    text = edited_text(text, Edit(path, YamlPath(("spec", "replicas")), 2))

PyYAML says where each value stands; only that part of the text is written again. What comes out is
read again, and has to be what was meant and nothing else.
"""

import dataclasses
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from harness.core import yamlfile
from harness.core.errors import HarnessError, InputError, Location
from harness.core.fix import APPEND, REMOVED, Edit, flow
from harness.core.location import YamlPath
from harness.core.values import Key, KeyPath

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what libyaml counts as the end of a line
_QUOTED = ("'", '"')


def edited_text(text: str, edit: Edit) -> str:
    """The text of a file after an edit.

    Raises:
        InputError: it is not YAML, or lacks the document or what the edit needs around the value.
        HarnessError: it is written in a way that cannot be edited.
    """
    documents = yamlfile.parse(text, edit.file)
    if edit.field.document >= len(documents):
        raise InputError("has no such document", at=edit.file)
    if edit.field.block:
        return _edited_block(text, edit)
    source = _Source(text, list(yaml.compose_all(text, _LOADER))[edit.field.document])
    at = documents[edit.field.document].at(edit.field.keys)
    meant = [each.value for each in documents]
    meant[edit.field.document] = _meaning(meant[edit.field.document], edit.field.keys, edit.to)
    try:
        after = source.edit(edit.field.keys, edit.to)
        written = [each.value for each in yamlfile.parse(after, edit.file)]
    except (InputError, LookupError, TypeError) as error:
        raise HarnessError("is written in a way that cannot be edited", at=at) from error
    if written != meant:
        raise HarnessError("is written in a way that cannot be edited", at=at)
    return after


def _edited_block(text: str, edit: Edit) -> str:
    """An edit inside a text that is YAML itself."""
    root = list(yaml.compose_all(text, _LOADER))[edit.field.document]
    node = _Source(text, root).find(edit.field.block)
    if not isinstance(node, yaml.ScalarNode) or node.style != "|":
        raise HarnessError("is written in a way that cannot be edited", at=Location(edit.file))
    lines = text.splitlines(keepends=True)
    first, end = node.start_mark.line + 1, node.end_mark.line + (node.end_mark.column > 0)
    block = "".join(lines[first:end])
    margin = re.match(r"[ ]*", block.lstrip("\r\n"))
    indent = margin[0] if margin else ""
    inner = dataclasses.replace(edit, field=YamlPath(edit.field.keys))
    after = textwrap.indent(edited_text(textwrap.dedent(block), inner), indent)
    return "".join((*lines[:first], after, *lines[end:]))


def _meaning(before: object, keys: KeyPath, new: object) -> object:
    """The before that is meant: ``before`` with another one at ``keys``."""
    if not keys:
        return new
    key, *rest = keys
    if isinstance(before, list):
        if key == APPEND:
            return [*before, _meaning(None, tuple(rest), new)]
        changed = list(before)
        if not rest and new is REMOVED:
            del changed[int(key)]
        else:
            changed[int(key)] = _meaning(before[int(key)], tuple(rest), new)
        return changed
    if key == APPEND and before is None:
        return [_meaning(None, tuple(rest), new)]
    around = dict(before) if isinstance(before, Mapping) else {}
    if not rest and new is REMOVED:
        around.pop(key, None)
    else:
        around[key] = _meaning(around.get(key), tuple(rest), new)
    return around


@dataclass
class _Source:
    """A text and the node of one of its documents."""

    text: str
    root: yaml.Node

    def __post_init__(self) -> None:
        self._starts = [0, *(each.end() for each in _BREAK.finditer(self.text))]
        self._break = "\r\n" if "\r\n" in self.text else "\n"

    def find(self, keys: KeyPath) -> yaml.Node | None:
        """The node at a path, or None."""
        node: yaml.Node | None = self.root
        for key in keys:
            node = _child(node, key)
        return node

    def edit(self, keys: KeyPath, new: object) -> str:
        """The text with another new at a path."""
        if new is REMOVED:
            return self._remove(keys) if self.find(keys) else self.text
        depth = next(n for n in range(len(keys), -1, -1) if self.find(keys[:n]) is not None)
        node, missing = self.find(keys[:depth]), keys[depth:]
        assert node is not None  # noqa: S101  the root is always there
        for key in reversed(missing[1:]):
            new = [new] if key in (APPEND, 0) else {key: new}
        if not missing:
            return self._replace(keys, node, new)
        first = missing[0]
        if isinstance(node, yaml.MappingNode):
            return self._insert(node, {first: new})
        if isinstance(node, yaml.SequenceNode):
            return self._insert(node, [new])
        return self._replace(keys[:depth], node, [new] if first == APPEND else {first: new})

    def _replace(self, keys: KeyPath, node: yaml.Node, new: object) -> str:
        parent = self.find(keys[:-1]) if keys else None
        start, end = self._span(node)
        inline = self._is_flow(keys[:-1]) or not isinstance(new, Mapping | list) or not new
        if inline or (isinstance(node, yaml.CollectionNode) and node.flow_style):
            written = flow(new)
            quoted = isinstance(node, yaml.ScalarNode) and node.style in _QUOTED
            if quoted and isinstance(new, str):
                written = json.dumps(new, ensure_ascii=False)
            if isinstance(parent, yaml.MappingNode):
                start = self._after_colon(parent, keys[-1])
                written = f" {written}"
            return self.text[:start] + written + self.text[end:]
        if isinstance(parent, yaml.MappingNode):
            margin = parent.start_mark.column + 2
            lines = _block(new, margin)
            start = self._after_colon(parent, keys[-1])
            after = self._rest_of_line(end)
            comment = after if after.lstrip().startswith("#") else ""
            body = self._break + self._break.join(lines)
            return self.text[:start] + comment + body + self.text[end + len(comment) :]
        lines = _block(new, node.start_mark.column)
        return self.text[:start] + self._break.join(lines).lstrip() + self.text[end:]

    def _insert(self, node: yaml.CollectionNode, new: object) -> str:
        """More entries at the end of a mapping or a list."""
        if node.flow_style or not node.value:
            close = self._offset(node.end_mark) - 1
            inner = flow(new)[1:-1]
            before = self.text[:close].rstrip(" ") if node.value else self.text[:close]
            comma = ", " if node.value else ""
            return before + comma + inner + self.text[close:]
        _, end = self._span(node)
        end += len(self._rest_of_line(end))
        lines = _block(new, node.start_mark.column)
        return self.text[:end] + self._break + self._break.join(lines) + self.text[end:]

    def _remove(self, keys: KeyPath) -> str:
        parent, node = self.find(keys[:-1]), self.find(keys)
        assert isinstance(parent, yaml.CollectionNode)  # noqa: S101
        assert node is not None  # noqa: S101
        if len(parent.value) == 1:
            empty: object = {} if isinstance(parent, yaml.MappingNode) else []
            return self._replace(keys[:-1], parent, empty)
        entries = [_entry(each) for each in parent.value]
        index = [each[-1] for each in entries].index(node)
        start, (_, end) = self._offset(entries[index][0].start_mark), self._span(node)
        if parent.flow_style:
            if index + 1 < len(entries):
                end = self._offset(entries[index + 1][0].start_mark)
            else:
                start = self._span(entries[index - 1][-1])[1]
            return self.text[:start] + self.text[end:]
        behind_dash = self.text[self._line_start(start) : start].strip().startswith("-")
        if isinstance(parent, yaml.MappingNode) and index == 0 and behind_dash:
            end = self._offset(entries[1][0].start_mark)
            return self.text[:start] + self.text[end:]
        end += len(self._rest_of_line(end))
        after = _BREAK.match(self.text, end)
        return self.text[: self._line_start(start)] + self.text[after.end() if after else end :]

    def _span(self, node: yaml.Node) -> tuple[int, int]:
        """Where a node's text begins and ends, without the blank lines and comments after it."""
        start, end = self._offset(node.start_mark), self._offset(node.end_mark)
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            end = self._span(_entry(node.value[-1])[-1])[1]
        elif isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            end = start + len(self.text[start:end].rstrip())
        return start, max(start, end)

    def _after_colon(self, parent: yaml.MappingNode, key: Key) -> int:
        name = next(each for each, _ in parent.value if str(each.value) == str(key))
        return self.text.index(":", self._offset(name.end_mark)) + 1

    def _is_flow(self, keys: KeyPath) -> bool:
        around = (self.find(keys[:depth]) for depth in range(len(keys) + 1))
        return any(isinstance(each, yaml.CollectionNode) and each.flow_style for each in around)

    def _rest_of_line(self, offset: int) -> str:
        stop = _BREAK.search(self.text, offset)
        return self.text[offset : stop.start() if stop else len(self.text)]

    def _line_start(self, offset: int) -> int:
        return max(each for each in self._starts if each <= offset)

    def _offset(self, mark: yaml.Mark) -> int:
        return self._starts[mark.line] + mark.column


def _child(node: yaml.Node | None, key: Key) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((new for name, new in node.value if str(name.value) == str(key)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        child: yaml.Node = node.value[key]
        return child
    return None


def _entry(entry: yaml.Node | tuple[yaml.Node, ...]) -> tuple[yaml.Node, ...]:
    """Key and new of a mapping's entry, or an item of a list."""
    return entry if isinstance(entry, tuple) else (entry,)


def _block(new: object, margin: int) -> list[str]:
    """A collection over several lines, each behind ``margin`` spaces."""
    return [" " * margin + line for line in _lines(new)]


def _lines(new: object) -> Iterator[str]:
    if isinstance(new, Mapping):
        for key, each in new.items():
            inside = each if isinstance(each, list) else [each]
            if each and any(isinstance(one, Mapping) for one in inside):
                yield f"{flow(key)}:"
                yield from (f"  {line}" for line in _lines(each))
            else:
                yield f"{flow(key)}: {flow(each)}"
    elif isinstance(new, list):
        for each in new:
            first, *rest = _lines(each) if isinstance(each, Mapping) and each else [flow(each)]
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
