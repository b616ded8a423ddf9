"""Pages of Markdown that quote other people's text and never let it be more than text.

    page = Page(65_000)
    page.add("## What changes")
    page.quote(lines, rest="harness diff --env staging")
    str(page)

Inside a fence GitHub makes nothing of what it finds: no link, no image, no HTML, no @mention. A
fence is longer than any run of backticks inside it, and characters that a reader cannot see, among
them those that turn text around, are written as their number.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.core.words import amount

_WIDTH = 400  # characters of a line; what is longer is not a line that somebody reads
_FENCE = 3
_ROOM = 200  # characters: a fence's two ends, and the note on what was left out
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@dataclass
class Page:
    """A page of at most ``room`` characters."""

    room: int
    _parts: list[str] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        """Characters that may still come."""
        return self.room - sum(len(part) + 2 for part in self._parts)

    def add(self, text: str) -> None:
        """Add a paragraph of our own words: Markdown, and nothing quoted."""
        if len(text) + 2 > self.remaining:
            raise ValueError("the text does not fit the page")
        self._parts.append(text)

    def quote(self, lines: Sequence[str], *, rest: str, room: int | None = None) -> None:
        """Add lines as they are, as many as fit.

        Args:
            lines: anybody's text.
            rest: a command that shows all of them; told where some were left out.
            room: characters that they may take; all that are left by default.
        """
        shown = [visible(line) for line in lines]
        ticks = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
        fence = "`" * max(_FENCE, ticks + 1)
        budget = min(room or self.remaining, self.remaining) - 2 * len(fence) - len(rest) - _ROOM
        lines_that_fit: list[str] = []
        for line in shown:
            budget -= len(line) + 1
            if budget < 0:
                break
            lines_that_fit.append(line)
        if lines_that_fit:
            self._parts.append("\n".join([fence, *lines_that_fit, fence]))
        if len(lines_that_fit) < len(shown):
            self._parts.append(f"{amount(len(shown) - len(lines_that_fit), 'more line')}: `{rest}`")

    def __str__(self) -> str:
        return "\n\n".join(self._parts) + "\n"


def visible(line: str) -> str:
    """One line, short enough to read, in which every character can be seen."""
    cut = line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…"
    return "".join(map(_make_visible, cut))


def word(name: str) -> str:
    """A name of somebody for our own words, as code; what no name of ours has becomes ``?``."""
    return f"`{plain(name)}`"


def plain(name: str) -> str:
    """The same for inside a command."""
    return re.sub(r"[^\w./^~-]", "?", name, flags=re.ASCII)


def _make_visible(character: str) -> str:
    hidden = unicodedata.category(character) in _HIDDEN
    return f"\\u{{{ord(character):x}}}" if hidden else character
