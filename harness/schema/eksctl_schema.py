"""eksctl's own schema of ClusterConfig, where eksctl is on PATH."""

import json
import shutil
import tempfile
from pathlib import Path

from harness.core import command
from harness.core.errors import HarnessError
from harness.core.problem import Problem
from harness.core.repository import Repository
from harness.core.values import Value, mapping, text
from harness.core.yamlfile import Document
from harness.schema import validator

_SECONDS = 20
_NAME = "clusterconfig-eksctl.io-v1alpha5.json"  # as kubeconform looks for it


def fingerprint() -> str:
    """Differs from one eksctl to another, as the key of what it printed; empty without one."""
    program = shutil.which("eksctl")
    if program is None:
        return ""
    status = Path(program).stat()
    return f"{program} {status.st_size} {status.st_mtime_ns}"


def problems(repository: Repository, config: Document) -> list[Problem]:
    """What eksctl's schema refuses in an eksctl.yaml; nothing without eksctl.

    Args:
        repository: where the tools are.
        config: the file, with placeholders for what is UNSET.

    Raises:
        HarnessError: eksctl prints no schema, or kubeconform cannot read it.
    """
    program = shutil.which("eksctl")
    if program is None or not isinstance(config.value, dict):
        return []
    with tempfile.TemporaryDirectory(prefix="eksctl-") as scratch:
        Path(scratch, _NAME).write_text(_schema(program))
        (violations,) = validator.validate_values(repository, Path(scratch), [config.value])
    return [
        Problem(f"eksctl's schema: {'.'.join(map(str, path))}: {message}", config.at(tuple(path)))
        for path, message, _ in violations
    ]


def _schema(eksctl: str) -> str:
    output = command.run([eksctl, "utils", "schema"], timeout=_SECONDS).stdout
    try:
        schema = json.loads(output)
    except ValueError as error:
        raise HarnessError(
            f"`{eksctl} utils schema` printed no schema: {error}",
            hint="repair eksctl, or take it off PATH",
        ) from error
    definitions = mapping(schema, "definitions")
    root = {key: each for key, each in mapping(schema).items() if key != "definitions"}
    complete = mapping(_inline(root, definitions, frozenset()))
    return json.dumps({**complete, "definitions": definitions})


def _inline(schema: object, definitions: Value, above: frozenset[str]) -> object:
    """Definitions in the place of references to them: behind one kubeconform names no field.

    A definition that leads back to itself stays a reference.
    """
    if isinstance(schema, list):
        return [_inline(each, definitions, above) for each in schema]
    if not isinstance(schema, dict):
        return schema
    name = text(schema, "$ref").removeprefix("#/definitions/")
    if name in definitions and name not in above:
        rest = {key: each for key, each in schema.items() if key != "$ref"}
        return _inline({**rest, **mapping(definitions, name)}, definitions, above | {name})
    return {key: _inline(each, definitions, above) for key, each in schema.items()}
