"""Variables say what they hold, functions what they do. docs/glossary.md has the words."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.repository import Repository

BANNED = {
    *("asked", "done", "found", "given", "held", "here", "kept"),
    *("made", "own", "said", "seen", "there", "told", "wanted"),
}
EXEMPT = {  # keys of signed evidence and of reports, which never change
    "harness/attestation/record.py:found",
    "harness/loadtest/outcome.py:found",
}
VAGUE = {"data", "info", "item", "obj", "result", "value"}
MOST_VAGUE = 321
"""How many variables of harness/ had such a name on the day this was written; fewer is better."""


# One past participle alone says neither. A property, a fixture or a context manager may be one.
PARTICIPLE = re.compile(
    r"_*([a-z]+ed|built|broken|found|given|gone|kept|lost|made|said|sent|written)"
)
NO_PARTICIPLE = {"embed", "feed", "need", "seed", "speed"}


def _bindings(repository: Repository, folder: str) -> Iterator[tuple[Path, int, str]]:
    for path in sorted((repository.root / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                    yield path.relative_to(repository.root), node.lineno, name
                case ast.arg(arg=name):
                    yield path.relative_to(repository.root), node.lineno, name


@pytest.mark.parametrize("folder", ["harness", "tests", "bench"])
def test_no_variable_has_a_banned_name(checkout: Repository, folder: str) -> None:
    banned = [
        f"{path}:{line}: {name}"
        for path, line, name in _bindings(checkout, folder)
        if name.strip("_") in BANNED and f"{path}:{name}" not in EXEMPT
    ]
    assert not banned, "\n".join(banned)


def test_no_more_variables_have_a_vague_name(checkout: Repository) -> None:
    names = Counter(name.strip("_") for _, _, name in _bindings(checkout, "harness"))
    assert sum(names[each] for each in VAGUE) <= MOST_VAGUE


def _functions(repository: Repository, folder: str) -> Iterator[tuple[Path, int, str]]:
    for path in sorted((repository.root / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            # What a decorator makes of a function is used as a noun: a property, a fixture, a rule.
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list:
                yield path.relative_to(repository.root), node.lineno, node.name


@pytest.mark.parametrize("folder", ["harness", "tests", "bench"])
def test_no_function_is_named_by_a_past_participle_alone(checkout: Repository, folder: str) -> None:
    participles = [
        f"{path}:{line}: {name}"
        for path, line, name in _functions(checkout, folder)
        if PARTICIPLE.fullmatch(name) and name.strip("_") not in NO_PARTICIPLE
    ]
    assert not participles, "\n".join(participles)
