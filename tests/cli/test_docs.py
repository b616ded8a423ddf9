"""Commands in the documentation exist, in their current spelling."""

import re
from pathlib import Path

import pytest

from harness.cli import old_spellings
from harness.cli.commands import VERBS

_ROOT = Path(__file__).parents[2]
_PAGES = [_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *sorted((_ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", _PAGES, ids=lambda path: path.name)
def test_commands_of_a_page_are_current(page: Path) -> None:
    text = page.read_text().partition("\n## Old spellings\n")[0]
    for command in re.findall(r"(?:`|^|\$ )harness ([a-z][^`#:\n]*)", text, flags=re.MULTILINE):
        words = command.split()
        assert words[0] in VERBS, command
        if len(words) > 1 and VERBS[words[0]].actions:
            actions = set(re.split(r"[|,]", words[1])) - {""}
            assert actions <= set(VERBS[words[0]].actions), command
            assert old_spellings.translate(words) == (words, []), command
