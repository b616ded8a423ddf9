"""A rule meets whatever somebody wrote: it finds a fault or it does not, but it never fails."""

import copy
import dataclasses
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.repository import Repository
from harness.core.values import KeyPath, dig
from harness.policy import engine
from harness.policy.project import Project
from harness.render.objects import Object
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from harness.render.tree import Tree

ODD: list[object] = [None, "", 0, -1, True, 3.5, "x", "100%", "1.2.3.4/99", [], {}, [None], [{}]]
FILES = ("clusters/{}/eksctl.yaml", "clusters/{}/loadtest.yaml", "clusters/{}/efs.yaml")
# These read the files of the checkout themselves, not what is passed to them.
READERS = {"snapshot/up-to-date", "release/generated-chart"}


@pytest.fixture(scope="module")
def project(checkout: Repository) -> Project:
    """This repository, rendered, with the files that rules read parsed."""
    renderer = Renderer(checkout)
    environments = {name: renderer.candidate(name) for name in renderer.environments()}
    project = Project(checkout, environments)
    for name in project.environments:
        for file in FILES:
            project.documents(file.format(name))
    return project


@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_rules_bear_any_value_at_any_place(project: Project, seed: int) -> None:
    # Of a seed, since so many choices as there are objects are more than hypothesis makes for one.
    rng = random.Random(seed)  # noqa: S311
    files = Tree(
        project.tree.root,
        _documents={
            path: [dataclasses.replace(each, value=_spoilt(each.value, rng)) for each in parsed]
            for path, parsed in project.tree._documents.items()
        },
    )
    environments = {name: _odd(each, rng) for name, each in project.environments.items()}
    odd = Project(project.repository, environments, rendered_from=files)
    for rule in engine.load_rules().values():
        if rule.id not in READERS:
            for _, problem in engine.evaluate_rule(rule, odd):
                assert problem.message


def _odd(environment: Environment, rng: random.Random) -> Environment:
    objects = (
        Object(_spoilt(each.value, rng), each.owner, each.trace) if rng.random() < 0.5 else each
        for each in environment.objects
    )
    return Environment(environment.name, environment.variant, tuple(objects))


def _spoilt(value: object, rng: random.Random) -> object:
    """The value with one thing in it removed, or replaced by something odd."""
    spoilt = copy.deepcopy(value)
    *path, last = rng.choice(list(_paths(spoilt, ())))
    around = dig(spoilt, *path)
    if rng.random() < 0.25:
        del around[last]
    else:
        around[last] = copy.deepcopy(rng.choice(ODD))
    return spoilt


def _paths(value: object, path: KeyPath) -> Iterator[KeyPath]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, below in inner:
        yield (*path, key)
        yield from _paths(below, (*path, key))
