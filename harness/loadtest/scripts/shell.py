"""The commands of a shell script, or of a page that shows some. Nothing is run.

Understood are quotes, continued lines, pipes, here-documents, variables that the script itself
sets, and loops over words: a command in one is read once for each word.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import InputError

_ESCAPED = re.compile(r"\$'((?:\\.|[^'\\])*)'", re.DOTALL)
_PART = re.compile(
    r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|<<<\s*(?:'[^']*'|"(?:\\.|[^"\\])*"|\S+)"""
    r"""|\d?[<>]+&?\s*[^\s|;&]+|[|;&]|['"\\]|\s|[^'"\\|;&<>\s]+""",
    re.DOTALL,
)
_PROMPT = re.compile(r"^\s*(?:[$>#%]\s+)?")
_PREFIX = re.compile(
    r"^(?:(?:sudo|time|do|then|else|env|exec|nohup|if|while|[{(`!]|\$\(|[A-Za-z_]\w*=\S*)\s+)*[`(]?"
)
_ASSIGNMENT = re.compile(
    r"^(?:(?:export|local|readonly|declare)\s+)?([A-Za-z_]\w*)=(?!=)", re.DOTALL
)
_LOOP = re.compile(r"^for\s+(\w+)\s+in\s+(.*)$", re.DOTALL)
_HERE = re.compile(r"<<-?\s*(['\"]?)([A-Za-z_]\w*)\1")
_NAME = r"\$(?:\{(\w+)(?::?[-=]([^}]*))?\}|([A-Za-z_]\w*))"
_BARE = re.compile(rf"""'[^']*'|\\.|"|{_NAME}|.""", re.DOTALL)
_QUOTED = re.compile(rf"""\\.|"|{_NAME}|.""", re.DOTALL)
_CONTENT = re.compile(r"""(?<=[\s=])"?\$\((?:cat\s+|<\s*)([\w./~-]+)\)"?(?=\s|$)""")
_LONGEST = 200  # lines of a value that is quoted
_TURNS = 1000  # of a loop: what a person writes out has fewer


@dataclass(slots=True)
class Command:
    """A command.

    Attributes:
        words: as the program gets them.
        stdin: what is written to it; ``@FILE`` is a file's content.
        unset: variables in it that the script does not set.
        producer: the command before its pipe, where only a run would tell what that writes.
    """

    words: list[str]
    stdin: str = ""
    unset: set[str] = field(default_factory=set)
    producer: str = ""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A command as it is written."""

    text: str
    stdin: str = ""
    is_piped: bool = False


def commands(text: str, path: Path, is_wanted: Callable[[str], bool]) -> Iterator[Command]:
    """The commands that are wanted, in the order in which the script runs them.

    Args:
        text: of the script or page.
        path: its name.
        is_wanted: whether a command, as it is written, is one of them.

    Raises:
        InputError: a quote in one of them is never closed.
    """
    joined = re.sub(r"[\\^`]\r?\n\s*(?:> )?", " ", text)
    lines, documents = _without_documents(joined.splitlines())
    pieces = list(_pieces(lines, documents, path, is_wanted))
    yield from _walk(pieces, {}, is_wanted)


def _without_documents(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The lines, each here-document as the number of its text."""
    plain_lines: list[str] = []
    documents: list[str] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        position += 1
        mark = _HERE.search(line)
        ends = [n for n in range(position, len(lines)) if mark and lines[n].strip() == mark[2]]
        if mark and ends:
            body = "\n".join(each.lstrip("\t") for each in lines[position : ends[0]])
            # A quoted word keeps the shell from reading variables in it.
            documents.append(shlex.quote(body) if mark[1] else f'"{_escape(body, chr(34))}"')
            line = f"{line[: mark.start()]}<<{len(documents) - 1}{line[mark.end() :]}"
            position = ends[0] + 1
        plain_lines.append(line)
    return plain_lines, documents


def _escape(text: str, characters: str) -> str:
    return re.sub(f"([{re.escape(characters)}])", r"\\\1", text)


def _pieces(
    lines: Sequence[str], documents: Sequence[str], path: Path, is_wanted: Callable[[str], bool]
) -> Iterator[_Piece]:
    """Every command; a quote may end on a later line where a command is wanted, or a value."""
    position, pieces = 0, list[_Piece]()
    while position < len(lines):
        for end in range(position + 1, len(lines) + 1):
            text = "\n".join(_PROMPT.sub("", line) for line in lines[position:end])
            pieces = list(_split(text, documents))
            ours = [each.text for each in pieces if is_wanted(each.text)]
            values = [each.text for each in pieces if _ASSIGNMENT.match(each.text)]
            if all(map(_is_closed, [*ours, *values])):
                position = end
                break
            if not ours and end > position + _LONGEST:
                position += 1  # no value: a page, with an apostrophe in it
                pieces = []
                break
            if end == len(lines) and ours:
                raise InputError("a quote is opened and never closed", at=path)
        else:
            position += 1
        yield from pieces


def _is_closed(text: str) -> bool:
    try:
        shlex.split(text.rstrip("`)"))
    except ValueError:
        return False
    return True


def _split(line: str, documents: Sequence[str]) -> Iterator[_Piece]:
    """The commands of a line; pipes and lists end them, redirections are taken out."""
    plain = _ESCAPED.sub(lambda quoted: shlex.quote(_unescape(quoted[1])), line)
    command, stdin, is_piped = "", "", False
    for part in _PART.findall(plain):
        start = part.lstrip("0123456789")
        if part in ("|", ";", "&"):
            yield _piece(command, stdin, is_piped=is_piped)
            command, stdin, is_piped = "", "", part == "|"
        elif start.startswith("<<<"):
            stdin = start[3:].strip()
        elif start[:2] == "<<" and start[2:].isdigit() and int(start[2:]) < len(documents):
            stdin = documents[int(start[2:])]
        elif start[:1] == "<" and start[1:2] not in ("<", "&"):
            stdin = f"@{start[1:].strip()}"
        elif start[:1] not in ("<", ">"):
            command += part
    yield _piece(command, stdin, is_piped=is_piped)


def _piece(command: str, stdin: str, *, is_piped: bool) -> _Piece:
    stripped = command.strip()
    # With more words it is a variable for one command; an open quote may still be a value.
    is_value = not _is_closed(stripped) or len(_words(stripped)) <= 2
    is_assignment = _ASSIGNMENT.match(stripped) and is_value
    plain = stripped if is_assignment else _PREFIX.sub("", stripped)
    return _Piece(_CONTENT.sub(r"@\1", plain), stdin, is_piped)


def _unescape(text: str) -> str:
    r"""What bash makes of $'…': \n, \u00e4, \'; the text itself where an escape is broken off."""
    try:
        return text.encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError:
        return text


def _walk(
    pieces: Sequence[_Piece], variables: dict[str, str], is_wanted: Callable[[str], bool]
) -> Iterator[Command]:
    position = 0
    while position < len(pieces):
        piece = pieces[position]
        before = pieces[position - 1] if piece.is_piped and position else None
        position += 1
        if loop := _LOOP.match(piece.text):
            end = _end_of_loop(pieces, position)
            for word in _words(_expand(loop[2], variables, set()))[:_TURNS] or [""]:
                variables[loop[1]] = word
                yield from _walk(pieces[position:end], variables, is_wanted)
            position = end
        elif is_wanted(piece.text):
            yield _command(piece, before, variables)
        elif assigned := _ASSIGNMENT.match(piece.text):
            values = _words(_expand(piece.text[assigned.end() :], variables, set()))
            if "$(" not in piece.text and "`" not in piece.text:
                variables[assigned[1]] = " ".join(values)


def _end_of_loop(pieces: Sequence[_Piece], position: int) -> int:
    depth = 1
    for number in range(position, len(pieces)):
        depth += bool(re.match(r"(for|while|until|select)\b", pieces[number].text))
        depth -= pieces[number].text.split(maxsplit=1)[:1] == ["done"]
        if depth == 0:
            return number
    return len(pieces)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _command(piece: _Piece, before: _Piece | None, variables: Mapping[str, str]) -> Command:
    unset: set[str] = set()
    command = Command(_words(_expand(piece.text.rstrip("`)"), variables, unset)), unset=unset)
    if piece.stdin:
        command.stdin = " ".join(_words(_expand(piece.stdin, variables, unset)))
    elif before:
        match _words(_expand(before.text, variables, unset)):
            case ["cat", file] if not file.startswith("-"):
                command.stdin = f"@{file}"
            case ["echo" | "printf", *words] if words:
                command.stdin = " ".join(word for word in words if word not in ("-n", "-e", "-ne"))
            case _:
                command.producer = before.text
    return command


def _expand(text: str, variables: Mapping[str, str], unset: set[str]) -> str:
    """The text with the values of its variables; those that have none go into ``unset``."""
    parts: list[str] = []
    is_quoted, position = False, 0
    while match := (_QUOTED if is_quoted else _BARE).match(text, position):
        position = match.end()
        braced, default, bare = match.groups()
        name = braced or bare
        known = variables.get(name or "", default)
        if match[0] == '"':
            is_quoted = not is_quoted
        if not name:
            parts.append(match[0])
        elif known is None:
            unset.add(name)
            parts.append(match[0] if is_quoted else shlex.quote(match[0]))
        elif is_quoted:
            parts.append(_escape(known, '\\"$`'))
        else:
            others = {other: text for other, text in variables.items() if other != name}
            parts.append(" ".join(map(shlex.quote, _expand(known, others, unset).split())))
    return "".join(parts)
