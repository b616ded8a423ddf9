"""Each test says what has to hold: one that only runs passes whatever comes out."""

import ast
from collections.abc import Iterator
from pathlib import Path

from harness.core.repository import Repository

_SAYS = ("assert", "raises", "warns", "fail")


def _silent_tests(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        names = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
        names |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        asserts = any(isinstance(each, ast.Assert) for each in ast.walk(node))
        if not asserts and not any(word in name for name in names for word in _SAYS):
            yield f"{path.name}:{node.lineno} {node.name}"


def test_every_test_says_what_has_to_hold(checkout: Repository) -> None:
    files = (checkout.root / "tests").rglob("test_*.py")
    assert [line for path in sorted(files) for line in _silent_tests(path)] == []
