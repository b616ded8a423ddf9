"""Flux's postBuild substitution: ``${VAR}`` in the text of a built object.

The grammar is that of github.com/fluxcd/pkg/envsubst v1.9.0, which Flux applies to the YAML of
each object, so a value can change the type of what it stands in. ``$$`` is a literal ``$``.
Where Flux departs from bash (``${x:+y}`` and ``${x:?y}`` are defaults, lengths count bytes), this
does too. Removing a prefix or suffix by a pattern (``${x#y}``, ``${x%y}``) is refused.
"""

import re
from collections.abc import Mapping

from harness.core.errors import InputError
from harness.render.rendered import UnsupportedError

_NAME = re.compile(r"\w+")
_NUMBER = re.compile(r"[+-]?\d+")
_FORM = re.compile(r"(:[-=?+]|=|\^\^?|,,?|//|/#|/%|/|:|#|%)?")
_DEFAULTS = (":-", ":=", "=", ":?", ":+")  # operators that a default follows
VARIABLE = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
"""What Flux accepts as the name of a variable."""


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with every ``${…}`` replaced. A variable that is missing is empty, as in Flux.

    Raises:
        InputError: a substitution that Flux would refuse.
        UnsupportedError: one that Flux knows and this does not.
    """
    return _Scanner(text, variables).run()


def names(text: str) -> set[str]:
    """The variables that ``text`` needs a value for: those without a default."""
    recorder = _ReadRecorder()
    _Scanner(text, recorder).run()
    return recorder.names


class _ReadRecorder(dict[str, str]):
    """Records which variables were read without a default."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()


class _Scanner:
    def __init__(self, text: str, variables: Mapping[str, str]) -> None:
        self._text = text
        self._at = 0
        self._variables = variables

    def run(self) -> str:
        return self._literal(until="")

    def _literal(self, until: str, escape: str = "") -> str:
        """Text up to one of the characters ``until`` (not consumed) or the end."""
        parts: list[str] = []
        while self._at < len(self._text):
            if self._text.startswith("$$", self._at) and not until:
                # One of the two dollars stays, and is never the start of a variable.
                parts.append("$")
                self._at += 2
            elif self._text.startswith("${", self._at):
                parts.append(self._variable())
            elif (char := self._text[self._at]) in until:
                break
            elif char == escape and self._text[self._at + 1 : self._at + 2] in ("/", escape):
                parts.append(self._text[self._at + 1])
                self._at += 2
            else:
                parts.append(char)
                self._at += 1
        return "".join(parts)

    def _variable(self) -> str:
        start = self._at
        self._at += 2
        length = self._take("#")
        match = _NAME.match(self._text, self._at)
        if match is None:
            raise self._error(start, "no variable name")
        self._at = match.end()
        name = match[0]
        form = _FORM.match(self._text, self._at)
        operator = form[0] if form else ""
        self._at += len(operator)
        if operator in ("#", "%"):
            what = f"removing a pattern with {operator}"
            unsupported = UnsupportedError(f"{self._excerpt(start)}: {what} is not read")
            unsupported.quoted = self._text[start : self._at]
            raise unsupported
        if isinstance(self._variables, _ReadRecorder) and operator not in _DEFAULTS:
            self._variables.names.add(name)
        value = self._apply(self._variables.get(name, ""), operator)
        if not self._take("}"):
            raise self._error(start, "no closing brace")
        return str(len(value.encode())) if length else value

    def _apply(self, value: str, operator: str) -> str:
        if operator in _DEFAULTS:
            default = self._literal(until="}")
            return value or default
        if operator == ":":
            return self._part(value)
        if operator.startswith("/"):
            return self._replace(value, operator)
        head, tail = value[:1], value[1:]
        cases = {
            "^": head.upper() + tail,
            "^^": value.upper(),
            ",": head.lower() + tail,
            ",,": value.lower(),
        }
        return cases.get(operator, value)

    def _part(self, value: str) -> str:
        start = self._literal(until=":}")
        length = self._literal(until="}") if self._take(":") else None
        if not _NUMBER.fullmatch(start) or (length and not _NUMBER.fullmatch(length)):
            return value  # as bash does with a position that is not a number
        begin = int(start)
        begin = max(0, len(value) + begin) if begin < 0 else begin
        if length is None:
            return value[begin:]
        count = int(length or 0)
        end = len(value) + count if count < 0 else begin + count
        return value[begin : max(begin, end)]

    def _replace(self, value: str, operator: str) -> str:
        old = self._literal(until="/", escape="\\")
        self._take("/")
        new = self._literal(until="}", escape="\\")
        if operator == "/#":
            return new + value[len(old) :] if value.startswith(old) else value
        if operator == "/%":
            return value[: len(value) - len(old)] + new if value.endswith(old) else value
        return value.replace(old, new, -1 if operator == "//" else 1)

    def _take(self, char: str) -> bool:
        taken = self._text.startswith(char, self._at)
        self._at += len(char) if taken else 0
        return taken

    def _error(self, start: int, reason: str) -> InputError:
        return InputError(f"bad substitution {self._excerpt(start)!r}: {reason}")

    def _excerpt(self, start: int) -> str:
        return self._text[start : start + 40].split("\n")[0]
