"""What the image relies on: the launcher is one small folder that needs nothing else."""

import ast
import sys
import tokenize
from pathlib import Path

import pytest

import harness.launcher

FOLDER = Path(harness.launcher.__file__).parent
SOURCES = sorted(FOLDER.glob("*.py"))
TRACE_EXPORT = sorted(FOLDER.with_name("trace_export").rglob("*.py"))


@pytest.mark.parametrize("source", [*SOURCES, *TRACE_EXPORT], ids=lambda path: path.stem)
def test_it_imports_the_standard_library_and_itself_only(source: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add(str(node.module).partition(".")[0])
    # What runs in a worker has TorchServe there.
    assert imported <= sys.stdlib_module_names | {"ts"}


def code_lines(source: Path) -> int:
    """Lines with code on them: not blank, no comment, no docstring."""
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}
    skipped |= {tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    with source.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type not in skipped and token.start[0]:
                lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return len(lines)


def test_it_has_fewer_than_1450_lines_of_code() -> None:
    assert sum(map(code_lines, SOURCES)) < 1450
