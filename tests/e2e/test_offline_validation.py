"""The API server's own code offline and a real API server refuse the same, fixture by fixture.

What a fixture changes in production is sent to both. The server holds what admission depends on,
as the unchanged repository has it; everything else is asked about by dry-run.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import tools
from harness.core.problem import Problem
from harness.core.repository import Repository
from harness.kubernetes.api import Api
from harness.local_cluster import admission
from harness.render.objects import Object
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from harness.schema import api_validator, validator
from tests.support import variation

_ENV = "production"
# What the server alone knows: it holds no object of these names.
_ABSENT = re.compile(
    r'namespaces? "[^"]+" not found|error looking up service account|no PriorityClass with name'
    r'|RuntimeClass "[^"]+" not found'
)
_POLICY = "ValidatingAdmissionPolicy '"
_STEP = 4  # all of them take a quarter of an hour on two busy cores


@pytest.fixture(scope="module")
def program(checkout: Repository) -> Path:
    return tools.find(checkout, "api-validator")


@pytest.fixture(scope="module")
def unchanged(checkout: Repository) -> Environment:
    return Renderer(checkout).candidate(_ENV)


@pytest.fixture(scope="module")
def server(checkout: Repository, unchanged: Environment) -> Iterator[Api]:
    with admission.server(checkout, "offline-validation") as api:
        assert list(admission.refusals(api, unchanged)) == []
        yield api


def _by_family() -> dict[str, list[Path]]:
    """The fixtures by the family of their rule: a scenario each, not hundreds."""
    families: dict[str, list[Path]] = {"valid": variation.folders("valid")}
    for folder in variation.folders("invalid"):
        families.setdefault(folder.name.partition("--")[0], []).append(folder)
    return families


@pytest.mark.parametrize("family", _by_family())
def test_both_refuse_the_same(
    family: str,
    server: Api,
    unchanged: Environment,
    program: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    step = 1 if request.config.getoption("--all") else _STEP
    answers = {
        folder.name: _refused_by_both(
            server, unchanged, program, variation.load(folder).lay_out(tmp_path / folder.name)
        )
        for folder in _by_family()[family][::step]
    }
    assert {name: both for name, both in answers.items() if set(both[0]) != set(both[1])} == {}


def _refused_by_both(
    server: Api, unchanged: Environment, program: Path, repository: Repository
) -> tuple[dict[str, str], dict[str, str]]:
    """What the server refuses of a changed repository, and what the program does; by object."""
    environment = Renderer(repository).candidate(_ENV)
    if not environment.is_complete:
        return {}, {}  # nobody would be asked
    before = {_name(each): each for each in unchanged.objects}
    changed = [
        each
        for each in environment.objects
        if _differs(each, before.get(_name(each)))
        and not each.dig("sops")  # nobody sends what Flux decrypts as it is
    ]
    changes_admission = any(
        _differs(each, unchanged.find(each.kind, each.name))
        for each in environment.of(*admission.POLICY_KINDS)
    )

    by_server = {
        problem.object: problem.message
        for subject in changed
        for problem in admission.answers(server, subject)
        if not _ABSENT.search(problem.message)
        and not (changes_admission and _POLICY in problem.message)
    }
    offline = {
        problem.object: problem.message
        for subject, problem in (
            *validator.validate(repository, changed),
            *_refusals(repository, program, environment, unchanged),
        )
        if subject in changed
        and not (changes_admission and problem.rule == api_validator.ADMISSION)
    }
    return by_server, offline


def _refusals(
    repository: Repository, program: Path, environment: Environment, unchanged: Environment
) -> Iterator[tuple[Object, Problem]]:
    """What is refused offline; of changes, as far as the server holds what is changed."""
    for _, subject, problem in api_validator.validate(
        repository, program, [(environment, unchanged)]
    ):
        is_stored = subject.kind in admission.POLICY_KINDS
        if problem.rule != api_validator.IMMUTABLE or is_stored:
            yield subject, problem


def _differs(subject: Object, before: Object | None) -> bool:
    return before is None or subject.value != before.value


def _name(subject: Object) -> tuple[str, str, str]:
    return (subject.kind, subject.namespace, subject.name)
