"""Judges objects by their schemas with kubeconform; a verdict is kept by the object's content."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from harness import tools
from harness.core import command, files
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.render.objects import Key, Object, items, text
from harness.schema import catalog

_SECONDS = 120  # a thousand objects take half a second
_LOCATION = "{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.json"
_UNKNOWN = re.compile(r"additional propert(?:y|ies) (.+) not allowed")


@dataclass(frozen=True, slots=True)
class Invalid:
    """What is wrong with one object.

    Attributes:
        path: the field.
        unknown: there is no schema for the object's kind, so nothing was judged.
    """

    path: tuple[Key, ...]
    message: str
    unknown: bool = False


def validate(repository: Repository, objects: Sequence[Object]) -> list[tuple[Object, Invalid]]:
    """Every violation of a schema, and every object that has none.

    Raises:
        HarnessError: kubeconform could not judge.
    """
    schemas = catalog.find(repository)
    kept = _Verdicts(repository, catalog.fingerprint(repository))
    keys = {id(each): kept.key(each) for each in objects}
    unseen = {keys[id(each)]: each for each in objects if keys[id(each)] not in kept.verdicts}
    if unseen:
        program = tools.find(repository, "kubeconform")
        judged = _kubeconform(program, schemas, list(unseen.values()))
        for key, verdict in zip(unseen, judged, strict=True):
            kept.verdicts[key] = verdict
    kept.save(keys.values())
    return [
        (each, Invalid(tuple(path), message, unknown))
        for each in objects
        for path, message, unknown in kept.verdicts[keys[id(each)]]
    ]


_Verdict = list[tuple[list[Key], str, bool]]


class _Verdicts:
    """The verdicts of earlier runs, by the content of the object and of the schemas."""

    def __init__(self, repository: Repository, schemas: str) -> None:
        self._path = repository.build / "check" / "cache" / "verdicts"
        self._schemas = schemas
        try:
            kept = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            kept = {}
        self.verdicts: dict[str, _Verdict] = kept.get(schemas, {})
        self._read = set(self.verdicts)

    def key(self, each: Object) -> str:
        return hashlib.sha256(json.dumps(each.value, default=str).encode()).hexdigest()

    def save(self, used: Iterable[str]) -> None:
        """Keep the verdicts of this run and no others."""
        keep = {key: self.verdicts[key] for key in used}
        if keep.keys() != self._read:
            files.write(self._path, json.dumps({self._schemas: keep}))


def _kubeconform(program: Path, schemas: Path, objects: Sequence[Object]) -> list[_Verdict]:
    with tempfile.TemporaryDirectory(prefix="kubeconform-") as scratch:
        for number, each in enumerate(objects):
            # JSON is YAML; what JSON has no word for (a date) was text in the manifest too.
            Path(scratch, f"{number}.json").write_text(json.dumps(each.value, default=str))
        argv: list[str | Path] = [program, "-strict", "-output", "json"]
        argv += ["-schema-location", str(schemas / _LOCATION), "-n", str(os.cpu_count() or 1)]
        done = command.run([*argv, scratch], timeout=_SECONDS, accept=(0, 1))
    try:
        report = json.loads(done.stdout)
    except ValueError as error:
        raise HarnessError(f"kubeconform said nothing to read: {done.stderr}") from error
    verdicts: list[_Verdict] = [[] for _ in objects]
    for row in items(report, "resources"):
        verdicts[int(Path(text(row, "filename")).stem)] = list(_problems(row))
    return verdicts


def _problems(row: object) -> Iterable[tuple[list[Key], str, bool]]:
    message = text(row, "msg")
    if "could not find schema" in message:
        yield [], "there is no schema for this kind: nothing of it was checked", True
        return
    found = items(row, "validationErrors")
    for each in found:
        path = [_key(part) for part in text(each, "path").split("/")[1:]]
        told = text(each, "msg")
        unknown = _UNKNOWN.search(told)
        for name in re.findall(r"'([^']+)'", unknown[1]) if unknown else ():
            yield [*path, name], f"unknown key {name}", False
        if not unknown:
            yield path, told, False
    if not found and text(row, "status") not in ("statusValid", "statusEmpty"):
        yield [], message, False


def _key(part: str) -> Key:
    decoded = part.replace("~1", "/").replace("~0", "~")
    return cast("Key", int(decoded) if decoded.isdigit() else decoded)
