"""Validates objects by their schemas with kubeconform; results are kept by an object's content."""

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

from harness import tools
from harness.core import command
from harness.core.errors import HarnessError
from harness.core.problem import Problem
from harness.core.repository import Repository
from harness.core.values import Key, Value, items, text
from harness.render.cache import Ledger
from harness.render.objects import Object
from harness.schema import catalog

_SECONDS = 120  # a thousand objects take half a second
_LOCATION = "{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.json"
_UNKNOWN = re.compile(r"additional propert(?:y|ies) (.+) not allowed")


Violation = tuple[list[Key], str, bool]
"""The path of a field, what is wrong with it, and whether there was no schema at all."""


def validate(repository: Repository, objects: Sequence[Object]) -> list[tuple[Object, Problem]]:
    """Every violation of a schema (``schema/invalid``), every object without one (``schema/none``).

    Raises:
        HarnessError: kubeconform could not validate.
    """
    schemas = catalog.find(repository)
    pins = catalog.fingerprint(repository)
    ledger = Ledger(repository, "violations")
    keys = [f"{pins} {each.digest}" for each in objects]
    new = {key: each for key, each in zip(keys, objects, strict=True) if key not in ledger}
    if new:
        results = validate_values(repository, schemas, [each.value for each in new.values()])
        for key, violations in zip(new, results, strict=True):
            ledger[key] = violations
    problems = [
        (each, _problem(each, violation))
        for key, each in zip(keys, objects, strict=True)
        for violation in cast("list[Violation]", ledger[key])
    ]
    ledger.save()
    return problems


def _problem(subject: Object, violation: Violation) -> Problem:
    path, message, no_schema = violation
    field = ".".join(map(str, path))
    return Problem(
        f"{field}: {message}" if field else message,
        subject.at(*path),
        str(subject),
        "schema/none" if no_schema else "schema/invalid",
    )


def without_null(value: object) -> object:
    """A key that is null is not a key to the API server."""
    if isinstance(value, Mapping):
        return {key: without_null(each) for key, each in value.items() if each is not None}
    return [without_null(each) for each in value] if isinstance(value, list) else value


def _without_sops(value: Value) -> Value:
    """What the API server gets of an object that SOPS encrypted: Flux takes the metadata away."""
    encrypted = text(value, "sops", "mac")
    return {key: each for key, each in value.items() if key != "sops"} if encrypted else value


def validate_values(
    repository: Repository, schemas: Path, values: Sequence[Value]
) -> list[list[Violation]]:
    """What the schemas of a folder refuse in each value.

    Raises:
        HarnessError: kubeconform could not validate.
    """
    program = tools.find(repository, "kubeconform")
    with tempfile.TemporaryDirectory(prefix="kubeconform-") as scratch:
        for number, each in enumerate(values):
            Path(scratch, f"{number}.json").write_text(
                json.dumps(without_null(_without_sops(each)))
            )
        argv: list[str | Path] = [program, "-strict", "-output", "json"]
        argv += ["-schema-location", str(schemas / _LOCATION), "-n", str(os.cpu_count() or 1)]
        output = command.run([*argv, scratch], timeout=_SECONDS, accept=(0, 1), env=tools.QUICK)
    try:
        report = json.loads(output.stdout)
    except ValueError as error:
        raise HarnessError(f"kubeconform printed no report: {output.stderr}") from error
    results: list[list[Violation]] = [[] for _ in values]
    for row in items(report, "resources"):
        results[int(Path(text(row, "filename")).stem)] = list(_violations(row))
    return results


def _violations(row: object) -> Iterable[Violation]:
    message = text(row, "msg")
    if "could not find schema" in message:  # kubeconform has no other sign of it
        yield [], "there is no schema for this kind: nothing of it was checked", True
        return
    errors = items(row, "validationErrors")
    for error in errors:
        path = [_key(part) for part in text(error, "path").split("/")[1:]]
        reason = text(error, "msg")
        unknown = _UNKNOWN.search(reason)
        for name in re.findall(r"'([^']+)'", unknown[1]) if unknown else ():
            yield [*path, name], f"unknown key {name}", False
        if not unknown:
            yield path, reason, False
    if not errors and text(row, "status") not in ("statusValid", "statusEmpty"):
        yield [], message, False


def _key(part: str) -> Key:
    decoded = part.replace("~1", "/").replace("~0", "~")
    return int(decoded) if decoded.isdigit() else decoded
