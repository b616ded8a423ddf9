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
    """One key and value, and the line (from 1) where its key stands."""

    key: str
    value: str
    line: int


def read(path: Path) -> list[Entry]:
    """The entries of a file, in its order; of a duplicate key the JVM keeps the last.

    Raises:
        InputError: the file cannot be read, or an escape is malformed.
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
        InputError: a ``\\u`` without four hexadecimal digits.
    """
    for line, logical in _logical_lines(text):
        key, value = _KEY_AND_VALUE.findall(logical)[0]  # it matches any text, from the start
        try:
            yield Entry(_unescape(key), _unescape(value), line)
        except ValueError as error:
            raise InputError(str(error), at=Location(path or Path("properties"), line)) from error


def dump(properties: Mapping[str, str | Sequence[str]]) -> str:
    """Text of pure ASCII that the JVM reads back as ``properties``, a line each, in this order.

    A value that is a list of pieces is folded: each further piece stands on a continuation line,
    so that a diff shows the piece that changed. The value is the pieces joined.
    """
    return "".join(f"{_escape_key(key)}={_fold(value)}\n" for key, value in properties.items())


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their continuations joined, without blank lines and comments."""
    logical, start, continued = "", 0, False
    for number, natural in enumerate(_END_OF_LINE.split(text), 1):
        content = natural.lstrip(_BLANKS)
        if not logical:
            # Also after a lone backslash: the JVM then looks for a new line, comments included.
            if not content or content[0] in "#!":
                continued = continued and not content
                continue
            start = number
        continued = len(content) - len(content.rstrip("\\")) & 1 == 1
        if continued:
            logical += content[:-1]
        else:
            yield start, logical + content
            logical = ""
    # The JVM takes a lone backslash at the very end for an entry with an empty key.
    if logical or (continued and _LAST_BACKSLASH.search(text)):
        yield start, logical


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
