"""eksctl's own schema of ClusterConfig, asked where eksctl is on PATH."""

import json
import shutil
import tempfile
from pathlib import Path

from harness.core import command
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.core.values import Value, mapping, text
from harness.core.yamlfile import Document
from harness.schema import validator

_SECONDS = 20
_NAME = "clusterconfig-eksctl.io-v1alpha5.json"  # as kubeconform looks for it


def program() -> str:
    """What tells one eksctl from another, for the key of what it said; empty without one."""
    found = shutil.which("eksctl")
    if found is None:
        return ""
    told = Path(found).stat()
    return f"{found} {told.st_size} {told.st_mtime_ns}"


def problems(repository: Repository, filled: Document) -> list[tuple[str, int | None]]:
    """What eksctl's schema refuses in an eksctl.yaml, each with its line; nothing without eksctl.

    Args:
        repository: the checkout.
        filled: the file, with placeholders for what is UNSET.

    Raises:
        HarnessError: eksctl prints no schema, or kubeconform cannot read it.
    """
    found = shutil.which("eksctl")
    if found is None or not isinstance(filled.value, dict):
        return []
    with tempfile.TemporaryDirectory(prefix="eksctl-") as scratch:
        Path(scratch, _NAME).write_text(_schema(found))
        (verdict,) = validator.judge(repository, Path(scratch), [filled.value])
    return [
        (f"eksctl's schema: {'.'.join(map(str, path))}: {message}", filled.at(tuple(path)).line)
        for path, message, _ in verdict
    ]


def _schema(eksctl: str) -> str:
    said = command.run([eksctl, "utils", "schema"], timeout=_SECONDS).stdout
    try:
        schema = json.loads(said)
    except ValueError as error:
        raise HarnessError(
            f"`{eksctl} utils schema` printed no schema: {error}",
            hint="repair eksctl, or take it off PATH",
        ) from error
    definitions = mapping(schema, "definitions")
    root = {key: each for key, each in mapping(schema).items() if key != "definitions"}
    inlined = mapping(_inlined(root, definitions, frozenset()))
    return json.dumps({**inlined, "definitions": definitions})


def _inlined(schema: object, definitions: Value, above: frozenset[str]) -> object:
    """Definitions in the place of references to them: behind one kubeconform names no field.

    A definition that leads back to itself stays a reference.
    """
    if isinstance(schema, list):
        return [_inlined(each, definitions, above) for each in schema]
    if not isinstance(schema, dict):
        return schema
    name = text(schema, "$ref").removeprefix("#/definitions/")
    if name in definitions and name not in above:
        rest = {key: each for key, each in schema.items() if key != "$ref"}
        return _inlined({**rest, **mapping(definitions, name)}, definitions, above | {name})
    return {key: _inlined(each, definitions, above) for key, each in schema.items()}
