"""A config.properties, or a ``*-startup.cfg`` of TorchServe, as ``java.util.Properties`` reads it.

What the JVM reads in another way than the person meant who wrote it is a problem or a remark with
the line to change: a comment behind a value, JSON without backslashes, a byte order mark.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.core.errors import InputError, Location
from harness.core.problem import Problem
from harness.importing import lenient
from harness.importing.source import Remark, Setting, Source
from harness.snapshot import properties
from harness.snapshot.properties import Entry

JSON_KEYS = ("model_snapshot", "models")
_BYTE_ORDER_MARK = "\u00ef\u00bb\u00bf"  # UTF-8's, read as Latin-1
_JSON_LINE = re.compile(r'\s*(?:["{}\]]|\Z)')


def read(path: Path) -> Source:
    """Read a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        text = path.read_bytes().decode("latin-1")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=path) from error
    return parse(text, path)


def parse(text: str, path: Path, first_line: int = 1) -> Source:
    """Read the text of a file; ``first_line`` is where it begins in ``path``."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    try:
        for entry in properties.entries(text, path):
            entries.append(entry)  # noqa: PERF402 - those before a malformed one count
    except InputError as error:
        problems += error.problems
    offset = first_line - 1
    swallowed = set()
    for number, entry in enumerate(entries):
        if entry.key in JSON_KEYS:
            rest = list(_json_without_backslashes(entry, entries[number + 1 :]))
            swallowed |= {id(each) for each in rest}
            if problem := _json_problem(entry, rest, path, offset):
                problems.append(problem)
    counting = [entry for entry in entries if id(entry) not in swallowed]
    remarks = [*_byte_order_mark(counting, path, offset)]
    marked = {remark.what for remark in remarks}
    return Source(
        properties=tuple(
            Setting(entry.key, entry.value, Location(path, entry.line + offset))
            for entry in counting
            if entry.key not in marked
        ),
        remarks=tuple(remarks),
        problems=tuple(problems),
    )


def _byte_order_mark(entries: Sequence[Entry], path: Path, offset: int) -> Iterator[Remark]:
    if entries and entries[0].key.startswith(_BYTE_ORDER_MARK):
        key = entries[0].key
        plain = key.removeprefix(_BYTE_ORDER_MARK)
        if not plain.startswith("#"):
            why = f"a byte order mark precedes {plain}: TorchServe ignores the line"
            yield Remark(key, why, Location(path, entries[0].line + offset), lost=True)
        else:
            why = "a byte order mark precedes the comment: TorchServe ignores it"
            yield Remark(key, why, Location(path, entries[0].line + offset))


def _json_without_backslashes(entry: Entry, following: Sequence[Entry]) -> Iterator[Entry]:
    """The entries that were meant as more lines of the value of ``entry``."""
    if _is_json(entry.value) or not entry.value.lstrip().startswith("{"):
        return
    for each in following:
        if not _JSON_LINE.match(each.key):
            return
        yield each


def _json_problem(entry: Entry, rest: Sequence[Entry], path: Path, offset: int) -> Problem | None:
    """Why TorchServe cannot read a JSON value, at the line of the file where that shows."""
    try:
        lenient.loads(entry.value)
    except RecursionError:
        return Problem(f"{entry.key}: nested too deeply", Location(path, entry.line + offset))
    except json.JSONDecodeError as error:
        if rest:
            last = rest[-1].last_line + offset
            return Problem(
                f"{entry.key}: the value ends with this line, for TorchServe too: a line that goes "
                f"on needs a \\ at its end (each line up to {last - 1})",
                Location(path, entry.last_line + offset),
            )
        # A problem at the end of the text shows on its last character.
        line = entry.line_at(min(error.pos, max(len(entry.value) - 1, 0))) + offset
        if entry.key == "model_snapshot" and not entry.value.strip():
            return Problem("model_snapshot has no value", Location(path, line))
        text = f"{entry.key} is not JSON: {_plain(error, entry.value)}"
        return Problem(text, Location(path, line))
    return None


def _plain(error: json.JSONDecodeError, text: str) -> str:
    near = text[max(error.pos - 20, 0) : error.pos + 10].replace("\n", " ").strip()
    return f"{error.msg[:1].lower()}{error.msg[1:]}, near `{near}`" if near else error.msg


def _is_json(text: str) -> bool:
    try:
        lenient.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
