"""What decides whether something may go to production belongs to those who answer for it.

CODEOWNERS is read as GitHub reads it: patterns as in .gitignore, and of those that fit a file the
last one counts, whatever the others say.
"""

from collections.abc import Iterator

import grimp
import pytest
from pathspec import GitIgnoreSpec

from harness.core.git import Git
from tests.workflows.files import ROOT

# What starts an evaluation. Rules are imported by name when they are evaluated.
_ENTRIES = (
    "harness.cli.release.promote",
    "harness.cli.release.rollback",
    "harness.cli.check",
    "harness.cli.release.evidence",
)
_RULES = "harness.policy.rules"
# What decides apart from Python: who may sign, gates, suppressions, what runs the gates.
_DECIDES = (
    *("clusters/allowed_signers", "clusters/production", "exceptions.yaml", "infra/policies"),
    *("apps/torchserve/production", ".github", "tools", "Makefile", "pyproject.toml"),
    *("requirements.lock", "harness/render/placeholders.yaml", ".gitattributes"),
)


Rules = list[tuple[GitIgnoreSpec, list[str]]]


def read(text: str) -> Rules:
    """The lines of a CODEOWNERS file: a pattern, and who owns what fits it."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [(GitIgnoreSpec.from_lines([pattern]), named) for pattern, *named in lines]


def owners(path: str, rules: Rules) -> list[str]:
    """Who has to agree to a change of a file; nobody where no line fits."""
    fitting = [named for pattern, named in rules if pattern.match_file(path)]
    return fitting[-1] if fitting else []


OURS = read((ROOT / ".github/CODEOWNERS").read_text())
PRODUCTION = owners("clusters/production/release.yaml", OURS)


def _gates() -> Iterator[str]:
    """The files of every module that takes part in an evaluation, by what imports what."""
    graph = grimp.build_graph("harness")
    modules = {module for module in graph.modules if module.startswith(_RULES)}
    for module in {*_ENTRIES, *modules}:
        modules |= {module, *graph.find_upstream_modules(module)}
    for module in modules:
        path = ROOT / module.replace(".", "/")
        yield str(
            (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).relative_to(ROOT)
        )


def test_every_module_that_takes_part_in_a_judgement_is_productions() -> None:
    files = sorted(_gates())
    assert "harness/attestation/verify.py" in files
    assert "harness/settings/freeze.py" in files
    assert "harness/core/command.py" in files
    assert [each for each in files if owners(each, OURS) != PRODUCTION] == []


@pytest.mark.parametrize("path", _DECIDES)
def test_what_decides_is_productions(path: str) -> None:
    files = Git(ROOT).run("ls-files", "--", path).splitlines()
    assert files
    assert [each for each in files if owners(each, OURS) != PRODUCTION] == []


def test_the_last_line_that_fits_counts() -> None:
    rules = read("# Words\n* @all\n/a/*/b/ @few\n/a/x/ @some @more\n/c.yaml @one\n")
    for path, named in (
        ("a/y/b/deep/file", ["@few"]),
        ("a/x/b/file", ["@some", "@more"]),
        ("d/a/y/b/file", ["@all"]),
        ("c.yaml", ["@one"]),
        ("d/c.yaml", ["@all"]),
    ):
        assert owners(path, rules) == named


def test_production_is_somebody_else_than_everybody() -> None:
    assert PRODUCTION
    assert owners("README.md", OURS) != PRODUCTION
