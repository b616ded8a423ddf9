"""Judges objects by their schemas with kubeconform; a verdict is kept by the object's content."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from harness import tools
from harness.core import command
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.core.values import Key, KeyPath, Value, items, text
from harness.render.cache import Ledger
from harness.render.objects import Object
from harness.schema import catalog

_SECONDS = 120  # a thousand objects take half a second
_LOCATION = "{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.json"
_UNKNOWN = re.compile(r"additional propert(?:y|ies) (.+) not allowed")


Verdict = list[tuple[list[Key], str, bool]]
"""What is wrong with one value: the path, the message, and whether there was no schema."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """What is wrong with one object.

    Attributes:
        path: the field.
        unknown: there is no schema for the object's kind, so nothing was judged.
    """

    path: KeyPath
    message: str
    unknown: bool = False


def validate(repository: Repository, objects: Sequence[Object]) -> list[tuple[Object, Invalid]]:
    """Every violation of a schema, and every object that has none.

    Raises:
        HarnessError: kubeconform could not judge.
    """
    schemas = catalog.find(repository)
    pins = catalog.fingerprint(repository)
    ledger = Ledger(repository, "verdicts")
    keys = [f"{pins} {_digest(each)}" for each in objects]
    unseen = {key: each for key, each in zip(keys, objects, strict=True) if key not in ledger}
    if unseen:
        judged = judge(repository, schemas, [each.value for each in unseen.values()])
        for key, verdict in zip(unseen, judged, strict=True):
            ledger[key] = verdict
    found = [
        (each, Invalid(tuple(path), message, unknown))
        for key, each in zip(keys, objects, strict=True)
        for path, message, unknown in cast("Verdict", ledger[key])
    ]
    ledger.save()
    return found


def _without_null(value: object) -> object:
    """To the API server a key that is null is a key that is not there."""
    if isinstance(value, Mapping):
        return {key: _without_null(each) for key, each in value.items() if each is not None}
    return [_without_null(each) for each in value] if isinstance(value, list) else value


def _decrypted(value: Value) -> Value:
    """What the API server gets of an object that SOPS encrypted: Flux takes the metadata away."""
    encrypted = text(value, "sops", "mac")
    return {key: each for key, each in value.items() if key != "sops"} if encrypted else value


def _digest(each: Object) -> str:
    return hashlib.sha256(json.dumps(each.value).encode()).hexdigest()


def judge(repository: Repository, schemas: Path, values: Sequence[Value]) -> list[Verdict]:
    """What the schemas of a folder say to each value.

    Raises:
        HarnessError: kubeconform could not judge.
    """
    program = tools.find(repository, "kubeconform")
    with tempfile.TemporaryDirectory(prefix="kubeconform-") as scratch:
        for number, each in enumerate(values):
            Path(scratch, f"{number}.json").write_text(json.dumps(_without_null(_decrypted(each))))
        argv: list[str | Path] = [program, "-strict", "-output", "json"]
        argv += ["-schema-location", str(schemas / _LOCATION), "-n", str(os.cpu_count() or 1)]
        done = command.run([*argv, scratch], timeout=_SECONDS, accept=(0, 1), env=tools.QUICK)
    try:
        report = json.loads(done.stdout)
    except ValueError as error:
        raise HarnessError(f"kubeconform said nothing to read: {done.stderr}") from error
    verdicts: list[Verdict] = [[] for _ in values]
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
    return int(decoded) if decoded.isdigit() else decoded
