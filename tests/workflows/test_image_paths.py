"""The push that changes what is in an image builds it again."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pathspec import GitIgnoreSpec

from tests.workflows.files import ROOT, WORKFLOWS

(IMAGE,) = (each for each in WORKFLOWS if each.path.stem == "image")
PATHS = GitIgnoreSpec.from_lines(
    re.sub("^(!?)", r"\1/", each) for each in IMAGE.events["push"]["paths"]
)
CONTAINERFILES = sorted(
    ROOT / step.inputs["file"] for step in IMAGE.steps() if "build-push" in step.uses
)
# What gate and shadow run; harness.cli finds the module of a command by its name.
STARTS = ("harness.__main__", "harness.cli.canary")


def add_imports(name: str, files: set[Path]) -> None:
    """Add the files that an import of a module, or of a name in one, reads, now or later."""
    module = ROOT.joinpath(*name.split("."))
    packages = [parent / "__init__.py" for parent in (module, *module.parents) if parent != ROOT]
    for path in (module.with_suffix(".py"), *packages):
        if path.is_relative_to(ROOT / "harness") and path.is_file() and path not in files:
            files.add(path)
            for node in ast.walk(ast.parse(path.read_text())):
                for each in names(node):
                    add_imports(each, files)


def names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield str(node.module)


def contents(containerfile: Path) -> list[Path]:
    """What an image has of the repository; of ``harness`` as a whole, what runs there."""
    sources = re.findall(r"(?m)^COPY (?!--from)(\S+)", containerfile.read_text())
    files: set[Path] = set()
    if "harness" in sources:
        sources.remove("harness")
        for start in STARTS:
            add_imports(start, files)
    # What is built before the image is none of the repository's, nor what an argument names.
    return sorted(files) + [
        path
        for source in sources
        if not source.startswith(("build/", "$"))
        for path in ([ROOT / source] if (ROOT / source).is_file() else (ROOT / source).rglob("*.*"))
    ]


@pytest.mark.parametrize("containerfile", CONTAINERFILES, ids=lambda path: path.parent.parent.name)
def test_what_is_in_an_image_builds_it(containerfile: Path) -> None:
    files = [
        path.relative_to(ROOT).as_posix() for path in [containerfile, *contents(containerfile)]
    ]
    assert len(files) > 9
    assert [file for file in files if not PATHS.match_file(file)] == []


def test_the_gate_is_built_of_what_it_imports() -> None:
    known = {
        path.relative_to(ROOT).as_posix()
        for path in contents(ROOT / "infra/canary/image/Containerfile")
    }
    assert {
        "harness/canary/known.py",
        "harness/models/answer.py",
        "harness/core/values.py",
    } <= known
    assert not any(file.startswith("harness/loadtest/") for file in known)
