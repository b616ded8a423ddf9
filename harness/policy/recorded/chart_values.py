"""Which values the templates of a chart read, found in their text."""

import re
from collections.abc import Iterable, Iterator, Mapping

from harness.core.values import KeyPath, Value, items, mapping, text
from harness.render.tree import Tree

_PATH = r"((?:\.[A-Za-z0-9_]+)*)"
_ALIAS = re.compile(rf"\$(\w+)\s*:?=\s*[^\s{{}}]*\.Values{_PATH}\s*-?\}}\}}")
_INDEX = re.compile(rf'index\s+\S*\.Values{_PATH}((?:\s+"[^"]+")+)')
_REFERENCE = re.compile(rf"\.Values{_PATH}")


def unread(tree: Tree, chart: str, values: Value) -> Iterator[KeyPath]:
    """The paths of values that no template of a chart reads.

    A template that reads a whole map reads everything below it, and one that passes ``.Values`` on
    as it is reads everything. What belongs to a chart below this one is left out.
    """
    files = tree.files(chart)
    templates = [file for file in files if "/templates/" in file]
    # Each environment and each release asks about the same chart.
    read = tree.remember(
        f"values that {chart} reads", lambda: set(references(map(tree.text, templates)))
    )
    others = {"global", *_dependencies(tree, chart, files)}
    for path in _leaves(values):
        if path[0] not in others and not any(
            path[: len(each)] == each or each[: len(path)] == path for each in read
        ):
            yield path


def references(templates: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """The paths of values that templates read; empty for one that reads all of them."""
    for template in templates:
        content = template
        for name, path in _ALIAS.findall(template):
            content = re.sub(rf"\${name}\b(?=\.)", f".Values{path}", content)
        for path, keys in _INDEX.findall(content):
            yield (*_keys(path), *re.findall(r'"([^"]+)"', keys))
        content = _INDEX.sub("", _ALIAS.sub("", content))
        yield from map(_keys, _REFERENCE.findall(content))


def _keys(path: str) -> tuple[str, ...]:
    return tuple(path.strip(".").split(".")) if path else ()


def _dependencies(tree: Tree, chart: str, files: Iterable[str]) -> Iterator[str]:
    start = f"{chart}/charts/"
    yield from (file.removeprefix(start).split("/")[0] for file in files if file.startswith(start))
    for document in tree.documents(f"{chart}/Chart.yaml"):
        for each in items(document.value, "dependencies"):
            yield text(each, "alias") or text(each, "name")


def _leaves(values: Value, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, below in values.items():
        if isinstance(below, Mapping) and below:
            yield from _leaves(mapping(below), (*path, str(key)))
        else:
            yield (*path, str(key))
