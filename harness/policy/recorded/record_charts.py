"""Writes tools/charts/<chart>.json from the charts themselves.

``python -m harness.policy.recorded.record_charts [FOLDER SOURCE]``, or `make chart-records`: of
every third-party chart that `harness tools` has fetched, or of one folder that holds a chart's
files.
"""

import hashlib
import json
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from harness.core import console, files
from harness.core.repository import Repository, find
from harness.core.values import KeyPath, Value, dig, items, mapping, merge, text
from harness.policy.recorded.chart_values import references
from harness.policy.recorded.charts import FOLDER, OPEN
from harness.render.renderer import Renderer

Tree = dict[str, object]
_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_TESTS = ("if ", "else if ")
_TYPES = {bool: "boolean", int: "number", float: "number", str: "text", list: "list"}
_SCHEMA_TYPES = {"string": "text", "integer": "number", "array": "list", "object": OPEN}


def record(folder: Path, source: str, digest: str, former: Value) -> Tree:
    """The record of a chart.

    Args:
        folder: the chart's files.
        source: where they are from.
        digest: SHA-256 of the archive that they were in; empty if they were in none.
        former: the record until now: which pods the chart makes is written by hand.
    """
    about = yaml.safe_load((folder / "Chart.yaml").read_text())
    values = _yaml(folder / "values.yaml")
    tree = _of_values(values)
    schema = folder / "values.schema.json"
    if schema.is_file():
        content = json.loads(schema.read_text())
        tree = _add(tree, _of_schema(content, content))
    paths = sorted(path for path in (folder / "templates").rglob("*.*") if path.is_file())
    templates = [path.read_text() for path in paths]
    for path in references(templates):
        _reach(tree, path)
    for path in set(references(map(_read_whole, templates))):
        if path and isinstance(dig(tree, *path), dict):
            _set(tree, path, OPEN)
    for each in items(about, "dependencies"):
        tree[text(each, "alias") or text(each, "name")] = OPEN
    pods = items(former, "pods")
    return {
        "chart": text(about, "name"),
        "version": str(dig(about, "version")),
        "source": source,
        "digest": digest,
        "pods": pods,
        "defaults": _defaults(values, pods),
        "appVersion": text(about, "appVersion"),
        "images": dict(sorted(_images(values))),
        "keys": {**tree, "global": OPEN},
    }


def _yaml(path: Path) -> Value:
    return mapping(yaml.safe_load(path.read_text())) if path.is_file() else {}


def _of_values(values: Value) -> Tree:
    """The type of each default: an empty map takes any keys, a null anything."""
    return {
        str(key): _of_values(mapping(default))
        if isinstance(default, dict) and default
        else OPEN
        if isinstance(default, dict)
        else _TYPES.get(type(default), "any")
        for key, default in values.items()
    }


def _of_schema(schema: object, root: object) -> Tree:
    """The keys that a JSON schema has for an object."""
    return {key: _type(each, root) for key, each in mapping(schema, "properties").items()}


def _type(schema: object, root: object) -> object:
    reference = text(schema, "$ref").removeprefix("#/")
    if reference:
        return _type(dig(root, *reference.split("/")), root)
    properties = _of_schema(schema, root)
    closed = dig(schema, "additionalProperties") is False
    kind = dig(schema, "type")
    if properties:
        return properties if closed else {**properties, "": "open"}
    return _SCHEMA_TYPES.get(kind, kind) if isinstance(kind, str) else "any"


def _add(tree: Tree, more: Tree) -> Tree:
    """Two trees as one; a schema that leaves an object open does not close what values show."""
    result = dict(tree)
    for key, below in more.items():
        if key == "":
            continue
        known = result.get(key)
        if isinstance(below, dict):
            clean = {name: each for name, each in below.items() if name}
            result[key] = _add(known, below) if isinstance(known, dict) else _add({}, clean)
        elif known is None or known == "any":
            result[key] = below
    return result


def _read_whole(template: str) -> str:
    """The actions of a template that may read a map with every key that it has.

    A condition does not, and neither does a look at one key of it.
    """
    actions = (action for action in _ACTION.findall(template))
    return "\n".join(action for action in actions if not action.startswith(_TESTS))


def _reach(tree: Tree, path: KeyPath) -> None:
    """Add a path that a template reads."""
    for index, key in enumerate(path):
        known = tree.get(str(key))
        if index == len(path) - 1:
            tree.setdefault(str(key), "any")
        elif known in (None, "any"):
            below: Tree = {}
            tree[str(key)] = below
            tree = below
        elif isinstance(known, dict):
            tree = known
        else:
            return  # a map of any keys, or no map


def _set(tree: Tree, path: KeyPath, to: object) -> None:
    around = dig(tree, *path[:-1])
    if isinstance(around, dict):
        around[path[-1]] = to


def _defaults(values: Value, pods: list[object]) -> Tree:
    """The chart's own values at the paths that decide about its pods."""
    defaults: Tree = {}
    for entry in pods:
        for key in ("replicas", "resources", "budget"):
            path = text(entry, key).split(".")
            if (default := dig(values, *path)) is not None:
                for name in reversed(path):
                    default = {name: default}
                defaults = merge(defaults, mapping(default))
    return defaults


def _images(values: object) -> Iterator[tuple[str, str]]:
    """The images that the chart's own values name, with their tags; an empty one is a default."""
    for below in mapping(values).values():
        if name := text(below, "repository"):
            yield "/".join(filter(None, (text(below, "registry"), name))), text(below, "tag")
        yield from _images(below)


def _cached_charts(repository: Repository) -> Iterator[tuple[Path, str]]:
    renderer = Renderer(repository)
    environments = [renderer.candidate(name) for name in renderer.environments()]
    for chart in dict.fromkeys(each for one in environments for each in one.remote_charts):
        if archive := chart.copy(repository):
            yield archive, str(chart)


def _write(repository: Repository, folder: Path, source: str, digest: str = "") -> None:
    name = text(yaml.safe_load((folder / "Chart.yaml").read_text()), "name")
    path = repository.root / FOLDER / f"{name}.json"
    former = json.loads(path.read_text()) if path.is_file() else {}
    files.write(path, json.dumps(record(folder, source, digest, former), indent=1) + "\n")
    console.note(f"wrote {path.relative_to(repository.root)}")


def main(arguments: list[str]) -> None:
    """Write the records."""
    repository = find()
    if arguments:
        _write(repository, Path(arguments[0]), arguments[1])
        return
    for archive, source in _cached_charts(repository):
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        with tempfile.TemporaryDirectory() as scratch, tarfile.open(archive) as packed:
            packed.extractall(scratch, filter="data")
            (chart,) = Path(scratch).iterdir()
            _write(repository, chart, source, f"sha256:{digest}")


if __name__ == "__main__":
    main(sys.argv[1:])
