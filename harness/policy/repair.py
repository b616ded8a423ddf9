"""Applies the machine form of fixes to a working tree, and says which lines they change."""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core import files, yaml_edit, yamlfile
from harness.core.errors import HarnessError
from harness.core.fix import Edit, Fix, run

_GENERATED = (
    (r"apps/torchserve/chart/.+", ("harness", "generate")),
    (
        r"apps/torchserve/([^/]+)/([^/]+)/serving\.yaml",
        ("harness", "snapshot", "write", "--env", r"\1", "--group", r"\2"),
    ),
    (r"models/.+", ("make", "lock")),
)
"""What has to be generated again once a file has changed."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """Lines of a file (from 1) and the text that takes their place.

    ``end`` is the first line that stays: it equals ``start`` where text is only added before it.
    """

    file: Path
    start: int
    end: int
    text: str


def with_commands(fix: Fix) -> Fix:
    """A fix, and the commands that generate again what follows from its edits."""
    for edit in fix.edits:
        for pattern, words in _GENERATED:
            if match := re.fullmatch(pattern, str(edit.file)):
                fix += run(*(match.expand(word) for word in words))
    return fix


def edited_texts(root: Path, edits: Iterable[Edit]) -> dict[Path, str]:
    """The new text of each file that edits change.

    Raises:
        HarnessError: a file cannot be read, or is written in a way that cannot be edited.
    """
    texts: dict[Path, str] = {}
    for edit in edits:
        before = texts.get(edit.file) or yamlfile.read_text(root / edit.file)
        texts[edit.file] = yaml_edit.edited_text(before, edit)
    return texts


def replacements(root: Path, fix: Fix) -> Iterator[Replacement]:
    """The lines that a fix changes.

    Raises:
        HarnessError: as ``edited_texts``.
    """
    for file, after in edited_texts(root, fix.edits).items():
        old = yamlfile.read_text(root / file).splitlines(keepends=True)
        new = after.splitlines(keepends=True)
        for tag, start, end, new_start, new_end in difflib.SequenceMatcher(
            None, old, new, autojunk=False
        ).get_opcodes():
            if tag != "equal":
                yield Replacement(file, start + 1, end + 1, "".join(new[new_start:new_end]))


def apply(root: Path, fixes: Iterable[Fix]) -> Iterator[str]:
    """Write the edits of fixes, one after the other.

    An edit that does not go together with an earlier one is left out: the next check will ask for
    it again, if it is still needed.

    Returns:
        The text of each edit that was written.
    """
    written: list[Edit] = []
    places = set()
    for edit in (edit for fix in fixes if fix for edit in fix.edits):
        place = (edit.file, edit.field)
        if edit in written or place in places:
            continue
        try:
            texts = edited_texts(root, [edit])
        except HarnessError:
            continue
        written.append(edit)
        places.add(place)
        if any(files.write(root / file, text) for file, text in texts.items()):
            yield str(edit)
