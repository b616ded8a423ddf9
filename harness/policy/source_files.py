"""What is checked in files as they are written, before any render: YAML and eksctl.yaml.

What a file that has not changed gave is remembered.
"""

import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from harness.core.errors import InputError
from harness.core.problem import Location, Problem, Row
from harness.core.values import mapping
from harness.render import placeholders
from harness.render.cache import Ledger
from harness.render.rendered import Environment, UnsetValue
from harness.render.renderer import Renderer
from harness.schema import eksctl_schema, validator, yaml_lint

_EKSCTL_RULE = "schema/eksctl"


def lint_yaml(renderer: Renderer, environments: Iterable[Environment]) -> Iterator[Problem]:
    """What is surprising in every YAML file."""
    variables = _variables(environments)
    ledger = Ledger(renderer.repository, "yaml-lint")
    code = hashlib.sha256(Path(yaml_lint.__file__).read_bytes()).hexdigest()
    for path in yaml_lint.files(renderer.tree):
        try:
            key = f"{code} {renderer.tree.digest((path,))} {sorted(variables.items())}"
        except InputError as error:
            yield Problem(error.message, error.at or Location(Path(path)), rule="yaml/unreadable")
            continue
        if key not in ledger:
            problems = yaml_lint.problems(renderer.tree, path, variables)
            ledger[key] = [each.row for each in problems]
        yield from map(Problem.from_row, cast("list[Row]", ledger[key]))
    ledger.save()


def _variables(environments: Iterable[Environment]) -> dict[str, str]:
    """What Flux substitutes, by name; of two environments the one whose value changes a type."""
    values: dict[str, str] = {}
    for environment in environments:
        site = environment.find("ConfigMap", "site")
        for key, value in mapping(site.value if site else None, "data").items():
            if key not in values or str(value).isdigit():
                values[key] = str(value)
    return values


def validate_eksctl(renderer: Renderer, env: str) -> tuple[list[Problem], list[UnsetValue]]:
    """What eksctl refuses in an environment's eksctl.yaml, and what is UNSET in it."""
    path = f"clusters/{env}/eksctl.yaml"
    if not (renderer.tree.root / path).is_file():
        return [], []

    def validate() -> object:
        from harness.schema import eksctl  # brings pydantic: a third of a second

        schema = functools.partial(eksctl_schema.problems, renderer.repository)
        invalid, unset = eksctl.problems(renderer.tree, path, renderer.placeholders, schema)
        return [each.row for each in invalid], [(each.key, each.location.line) for each in unset]

    code = Path(validator.__file__).with_name("eksctl.py").read_text()
    digest = renderer.tree.digest((path,))
    key = ("eksctl.yaml", digest, code, str(renderer.placeholders), eksctl_schema.fingerprint())
    try:
        rows, lines = cast(
            "tuple[list[Row], list[tuple[str, int]]]", renderer.cache.get(str(key), validate)
        )
    except InputError as error:
        at = Location(Path(path), error.at.line if error.at else None)
        return [Problem(error.message, at, "ClusterConfig", _EKSCTL_RULE)], []
    problems = [
        Problem(each.message, each.location, "ClusterConfig", _EKSCTL_RULE)
        for each in map(Problem.from_row, rows)
    ]
    unset = [
        UnsetValue(f"ClusterConfig: {name}", Location(Path(path), line)) for name, line in lines
    ]
    return problems, unset


def unset_bases(renderer: Renderer) -> Iterator[UnsetValue]:
    """The base images of the Containerfile that have no digest yet."""
    path = placeholders.CONTAINERFILE
    if (renderer.tree.root / path).is_file():
        for line in placeholders.unset_bases(renderer.tree.text(str(path))):
            yield UnsetValue("Containerfile: FROM", Location(path, line))
