"""Pages and help texts are plain American English: docs/glossary.md has the words to use."""

import ast
import io
import itertools
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import cli
from harness.cli.commands import leaves
from harness.core import repository

_ROOT = repository.find(Path(__file__)).root
# The glossary lists the words that are not used.
_EXCLUDED = {"docs/glossary.md"}
_PAGES = sorted(
    name
    for pattern in ("*.md", "docs/**/*.md", "apps/torchserve/chart/README.md")
    for path in _ROOT.glob(pattern)
    if (name := str(path.relative_to(_ROOT))) not in _EXCLUDED
)

_DIALECT = r"""
    and\ its\ kin | anew | beside | excused? | exemptions?
    | for\ ever | for\ want\ of | gives?\ way | half\ done | has\ not\ its\ form | held\ against
    | in\ vain | in\ work | is\ so | is\ there\ already | known\ and\ meant | mend(?:ed|s)?
    | nobody\ (?:is|was)\ told | nobody\ to\ ask | not\ so\ after | once\ more | out\ loud
    | right\ answers? | seldom | stands?\ twice | the\ call\ was\ wrong | the\ subject\ is\ bad
    | the\ way\ in | unless\ told | wrong\ call
    | (?<!here\ )(?:is|are|was|were)\ no\ (?!longer|more|one|reason|smaller|farther)\w+
    | (?:one|two|three)\ \w+\ an?\ (?:core|environment|file|key|line|model|module|node|pod|second)
"""
_BRITISH = r"""
    artefacts? | behaviours? | cancelled | catalogues? | centres? | colours? | favour\w* | grey
    | honour\w* | judgements? | labelled | licences? | neighbours? | roll-outs? | signalled
    | time-outs? | whilst | \w+(?:al|ar|er|gan|ogn|or)is(?:e[drs]?|ing|ations?)
"""
_BANNED = re.compile(rf"\b(?:{_DIALECT}|{_BRITISH})\b", re.IGNORECASE | re.VERBOSE)
_CODE = re.compile(r"```.*?```|`[^`\n]+(?:\n[^`\n]+)?`|\]\([^)]*\)", re.DOTALL)


# Words of others in our sentences: CloudFormation's, and the old names that renamed rules keep.
_QUOTES = {"harness/bootstrap/stack.py", "harness/policy/renamed.py"}


def _banned_lines(text: str) -> Iterator[str]:
    """Each line with a banned word, code left out: its names may be older than the words."""
    plain = _CODE.sub(lambda code: "\n" * code[0].count("\n"), text)
    for number, line in enumerate(plain.splitlines(), start=1):
        yield from (f"{number}: {match[0]}" for match in _BANNED.finditer(line))


@pytest.mark.parametrize("page", _PAGES)
def test_pages_have_no_banned_word(page: str) -> None:
    assert list(_banned_lines((_ROOT / page).read_text())) == []


def test_help_of_make_has_no_banned_word() -> None:
    helps = re.findall(r"^[a-z-]+:.*## (.*)$", (_ROOT / "Makefile").read_text(), re.MULTILINE)
    assert list(_banned_lines("\n".join(helps))) == []


def test_comments_and_docstrings_have_no_banned_word() -> None:
    banned = []
    for path in sorted(_ROOT.glob("harness/**/*.py")):
        if (name := str(path.relative_to(_ROOT))) not in _QUOTES:
            banned += [f"{name}:{line}" for line in _banned_lines(_comments(path.read_text()))]
    assert banned == []


def test_messages_have_no_banned_word() -> None:
    banned = []
    for path in sorted(_ROOT.glob("harness/**/*.py")):
        if (name := str(path.relative_to(_ROOT))) not in _QUOTES:
            nodes = ast.walk(ast.parse(path.read_text()))
            texts = [each for each in nodes if isinstance(each, ast.Constant)]
            banned += [
                f"{name}:{each.lineno}: {line}"
                for each in texts
                if isinstance(each.value, str) and each.value.count(" ") > 1  # fewer: a key
                for line in _banned_lines(each.value)
            ]
    assert banned == []


def _comments(source: str) -> str:
    """The comments and docstrings, each on its own line; code is left out."""
    lines = [""] * (source.count("\n") + 2)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for before, token in itertools.pairwise(tokens):
        starts_a_line = before.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.NL}
        docstring = starts_a_line and token.string.startswith(('"""', 'r"""'))
        if token.type == tokenize.COMMENT or docstring:
            for offset, line in enumerate(token.string.splitlines()):
                lines[token.start[0] - 1 + offset] += line
    return "\n".join(lines)


@pytest.mark.parametrize("command", ["", *(" ".join(leaf).strip() for leaf in leaves())])
def test_help_of_harness_has_no_banned_word(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--help"])
    assert list(_banned_lines(capsys.readouterr().out)) == []


@pytest.mark.parametrize("page", [each for each in _PAGES if each != "CHANGELOG.md"])
def test_paths_of_a_page_exist(page: str) -> None:
    folders = "apps|bench|clusters|docs|harness|infra|models|tests|tools"
    paths = re.findall(rf"`((?:{folders})/[\w./-]+\.\w+)`", (_ROOT / page).read_text())
    assert [path for path in paths if not (_ROOT / path).exists()] == []


@pytest.mark.parametrize("page", [*_PAGES, "docs/glossary.md"])
def test_links_lead_to_files_and_headings(page: str) -> None:
    missing = []
    for link in re.findall(r"\]\(([^):]+)\)", (_ROOT / page).read_text()):
        name, _, anchor = link.partition("#")
        target = (_ROOT / page).parent / name if name else _ROOT / page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            missing.append(link)
    assert missing == []


def test_every_page_and_decision_is_listed() -> None:
    listed = set(re.findall(r"\]\(([^)#]+)\)", (_ROOT / "docs/README.md").read_text()))
    pages = {str(path.relative_to(_ROOT / "docs")) for path in _ROOT.glob("docs/**/*.md")}
    assert pages - listed == {"README.md"}


def _anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
