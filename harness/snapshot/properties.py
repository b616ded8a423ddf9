"""``java.util.Properties`` as the JVM reads and writes it: escapes, continuation lines, UTF-16.

    parse("a = 1\\nb=caf\\\\u00E9")  →  {"a": "1", "b": "café"}
    dump({"a": "1", "b": "café"})  →  "a=1\\nb=caf\\\\u00E9\\n"

TorchServe loads its file through ``Properties.load(InputStream)``, which decodes Latin-1:
whatever is not ASCII has to be an escape. Grammar: the documentation of ``Properties.load`` in
the Java SE API, and what the JVM does where that is silent (the tests ask it).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import InputError, Location
from harness.core.problem import Problem

_BLANKS = " \t\f"
_END_OF_LINE = re.compile(r"\r\n|\r|\n")
_LAST_BACKSLASH = re.compile(r"\\[\r\n]?\Z")
_KEY_AND_VALUE = re.compile(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u(?P<unit>[0-9A-Fa-f]{4})|(?P<malformed>u)|(?P<char>.))", re.DOTALL)
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ESCAPED = {char: f"\\{letter}" for letter, char in _CONTROLS.items()} | {"\\": "\\\\"}
_FOLD = "\\\n  "  # a continuation line: the reader drops the newline and the leading blanks


@dataclass(frozen=True, slots=True)
class Entry:
    """One key and value, and the line (from 1) where its key stands.

    ``pieces`` is the value by lines, as they are in the file.
    """

    key: str
    value: str
    line: int
    pieces: tuple[str, ...] = ()

    @property
    def last_line(self) -> int:
        """The line on which the value ends."""
        return self.line + max(len(self.pieces) - 1, 0)

    def line_at(self, offset: int) -> int:
        """The line of the file on which the character ``offset`` of the value stands."""
        for line, piece in enumerate(self.pieces, self.line):
            offset -= len(_unescape(piece))
            if offset < 0:
                return line
        return self.last_line


def read(path: Path) -> list[Entry]:
    """The entries of a file, in its order; of a duplicate key the JVM keeps the last.

    Raises:
        InputError: the file cannot be read, or escapes are malformed: all of them.
    """
    try:
        text = path.read_bytes().decode("latin-1")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=path) from error
    return list(entries(text, path))


def parse(text: str) -> dict[str, str]:
    """The properties that the JVM reads from ``text``, in the order of the file.

    Raises:
        InputError: a ``\\u`` without four hexadecimal digits.
    """
    return {entry.key: entry.value for entry in entries(text)}


def entries(text: str, path: Path | None = None) -> Iterator[Entry]:
    """Every entry of ``text`` in its order; ``path`` is only for the errors.

    Raises:
        InputError: each ``\\u`` without four hexadecimal digits, after the last entry.
    """
    malformed = []
    for line, natural_lines in _logical_lines(text):
        logical = "".join(natural_lines)
        pair = _KEY_AND_VALUE.match(logical)
        assert pair  # noqa: S101 - it matches any text
        try:
            value = _unescape(pair[2])
            pieces = tuple(_pieces(natural_lines, pair.start(2)))
            yield Entry(_unescape(pair[1]), value, line, pieces)
        except ValueError as error:
            malformed.append(Problem(str(error), Location(path or Path("properties"), line)))
    if malformed:
        raise InputError.of(malformed)


def _pieces(natural_lines: Sequence[str], start: int) -> Iterator[str]:
    """What of each line lies behind ``start``, counted in all of them joined."""
    for content in natural_lines:
        yield content[max(start, 0) :]
        start -= len(content)


def dump(properties: Mapping[str, str | Sequence[str]]) -> str:
    """Text of pure ASCII that the JVM reads back as ``properties``, a line each, in this order.

    A value that is a list of pieces is folded: each further piece stands on a continuation line,
    so that a diff shows the piece that changed. The value is the pieces joined.
    """
    return "".join(f"{_escape_key(key)}={_fold(value)}\n" for key, value in properties.items())


def _logical_lines(text: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Each line with its continuations, without blank lines and comments."""
    logical: list[str] = []
    start, continued = 0, False
    for number, natural in enumerate(_END_OF_LINE.split(text), 1):
        content = natural.lstrip(_BLANKS)
        if not any(logical):
            # Also after a lone backslash: the JVM then looks for a new line, comments included.
            if not content or content[0] in "#!":
                continued = continued and not content
                continue
            start = number
            logical = []
        continued = len(content) - len(content.rstrip("\\")) & 1 == 1
        logical.append(content[:-1] if continued else content)
        if not continued:
            yield start, logical
            logical = []
    # The JVM takes a lone backslash at the very end for an entry with an empty key.
    if any(logical) or (continued and _LAST_BACKSLASH.search(text)):
        yield start, logical or [""]


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return _pair_surrogates(_ESCAPE.sub(_character, text))


def _character(escape: re.Match[str]) -> str:
    if escape["unit"]:
        return chr(int(escape["unit"], 16))
    if escape["malformed"]:
        raise ValueError(r"malformed \u: four hexadecimal digits must follow")
    return _CONTROLS.get(escape["char"], escape["char"])


def _pair_surrogates(text: str) -> str:
    """Java's strings are UTF-16: two escaped halves are one character; a lone half stays."""
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")


def _escape_key(key: str) -> str:
    return re.sub(r"[=: #!]", r"\\\g<0>", _escape(key))


def _fold(value: str | Sequence[str]) -> str:
    pieces = [value] if isinstance(value, str) else value
    # Blanks that open a value, or a continuation line, would be skipped.
    return _FOLD.join(re.sub(r"\A ", r"\\ ", _escape(piece)) for piece in pieces)


def _escape(text: str) -> str:
    return "".join(
        char if " " <= char <= "~" and char != "\\" else _ESCAPED.get(char) or _units(char)
        for char in text
    )


def _units(char: str) -> str:
    data = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{data[i : i + 2].hex().upper()}" for i in range(0, len(data), 2))
