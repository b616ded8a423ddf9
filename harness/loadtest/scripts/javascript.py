"""Expressions of JavaScript as Python's syntax tree, so that one evaluator reads both.

    at("const url = `${BASE}/ping`;", "url")

Only what names a request is parsed: literals, templates, objects, arrays, calls, members. Anything
else becomes a name that nothing defines, which the evaluator reports as what only a run would tell.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<template>`(?:\\.|[^`\\])*`)
    |(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<number>0x[0-9a-fA-F]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<name>[A-Za-z_$][\w$]*)
    |(?P<mark>=>|\?\.|\?\?|\|\||&&|\.\.\.|===|!==|==|!=|<=|>=|.)""",
    re.DOTALL | re.VERBOSE,
)
_WORDS = {"true": True, "false": False, "null": None, "undefined": None}
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
# Functions by the names that the evaluator knows them by.
_NAMES = {
    "stringify": "dumps",
    "parse": "load",
    "randomItem": "choice",
    "randomIntBetween": "randint",
    "uuidv4": "uuid4",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of source text: its kind, itself, its line."""

    kind: str
    text: str
    line: int


def tokens(source: str) -> list[Token]:
    """The pieces of a script, without spaces and comments."""
    pieces, line = [], 1
    for match in _TOKEN.finditer(source):
        if match.lastgroup != "skip":
            pieces.append(Token(str(match.lastgroup), match[0], line))
        line += match[0].count("\n")
    return pieces


def assignments(script: Sequence[Token]) -> Iterator[tuple[str, ast.expr]]:
    """Every ``const name = …``, ``let`` and ``var``."""
    for place, token in enumerate(script[:-2]):
        name, equals = script[place + 1 : place + 3]
        if token.text in ("const", "let", "var") and name.kind == "name" and equals.text == "=":
            yield name.text, Parser(script, place + 3).expression()


def return_of(script: Sequence[Token]) -> ast.expr | None:
    """What a function's body returns."""
    for place, token in enumerate(script):
        if token.text == "return":
            return Parser(script, place + 1).expression()
    return None


class Parser:
    """Reads an expression, from a place in a script on."""

    def __init__(self, script: Sequence[Token], place: int = 0) -> None:
        self._script, self.place = script, place

    @property
    def _next(self) -> str:
        return self._script[self.place].text if self.place < len(self._script) else ""

    def _take(self, text: str) -> bool:
        is_next = self._next == text
        self.place += is_next
        return is_next

    def expression(self) -> ast.expr:
        """The expression that begins here."""
        first = self._sum()
        while self._next in ("||", "??"):
            self.place += 1
            # `__ENV.X || "default"`: only the default is in the script.
            first = ast.Call(ast.Name("getenv"), [first, self._sum()], [])
        if self._next in ("?", "&&", "===", "==", "!==", "!=", "<", ">", "<=", ">="):
            return self._unknown()
        return first

    def arguments(self) -> list[ast.expr]:
        """Those of a call, whose bracket comes next."""
        return self._list(")") if self._take("(") else []

    def _sum(self) -> ast.expr:
        first = self._product()
        while self._next in ("+", "-"):
            operator = ast.Add() if self._next == "+" else ast.Sub()
            self.place += 1
            first = ast.BinOp(first, operator, self._product())
        return first

    def _product(self) -> ast.expr:
        first = self._unary()
        while self._next in ("*", "/", "%"):
            operator = ast.Mult() if self._next == "*" else ast.Pow()
            self.place += 1
            first = ast.BinOp(first, operator, self._unary())
        return first

    def _unary(self) -> ast.expr:
        if self._take("-"):
            return ast.UnaryOp(ast.USub(), self._unary())
        if self._take("new") or self._take("await"):
            return self._unary()
        return self._members(self._primary())

    def _members(self, owner: ast.expr) -> ast.expr:
        while self._next in (".", "?.", "(", "["):
            if self._take("."):
                owner = ast.Attribute(owner, self._next)
                self.place += 1
            elif self._take("?."):
                continue
            elif self._next == "(":
                line = self._script[self.place].line
                owner = _call(owner, self.arguments())
                owner = ast.fix_missing_locations(ast.copy_location(owner, ast.expr(lineno=line)))
            else:
                self.place += 1
                which = self._list("]")
                is_drawn = any("random" in ast.unparse(each) for each in which)
                owner = (
                    ast.Call(ast.Name("choice"), [owner], [])
                    if is_drawn
                    else ast.Subscript(owner, which[0] if which else ast.Name("?"))
                )
        return owner

    def _primary(self) -> ast.expr:
        if self.place >= len(self._script):
            return ast.Name("?")
        token = self._script[self.place]
        if token.text == "function" or self._is_arrow():
            return self._function()
        self.place += 1
        if (literal := _literal(token)) is not None:
            return literal
        match token.text:
            case "(":
                inner = self._list(")")
                return inner[0] if inner else ast.Name("?")
            case "[":
                return ast.List(self._list("]"))
            case "{":
                return self._object()
        return self._unknown()

    def _list(self, end: str) -> list[ast.expr]:
        members = []
        while self.place < len(self._script) and not self._take(end):
            before = self.place
            members.append(self._unknown() if self._take("...") else self.expression())
            if not self._take(",") and self._next != end:
                self._skip(end)
            if self.place == before:
                self.place += 1
        return members

    def _object(self) -> ast.expr:
        keys: list[ast.expr | None] = []
        members: list[ast.expr] = []
        while self.place < len(self._script) and not self._take("}"):
            before = self.place
            if self._take("..."):
                keys.append(None)
                members.append(self.expression())
            else:
                token = self._script[self.place]
                self.place += 1
                text = token.text[1:-1] if token.kind == "text" else token.text
                keys.append(ast.Constant(_unescape(text)))
                members.append(self.expression() if self._take(":") else self._shorthand(text))
            if not self._take(",") and self._next != "}":
                self._skip("}")
            if self.place == before:
                self.place += 1
        return ast.Dict(keys, members)

    def _shorthand(self, name: str) -> ast.expr:
        return self._unknown() if self._next == "(" else ast.Name(name)

    def _skip(self, end: str) -> None:
        """Go on to the next member, or to the end of this list."""
        while self.place < len(self._script) and self._next not in (",", end):
            self.place = self._behind(self.place)
        self._take(",")

    def _unknown(self) -> ast.expr:
        start = self._script[min(self.place, len(self._script) - 1)] if self._script else None
        while self.place < len(self._script) and self._next not in (",", ";", ")", "]", "}"):
            self.place = self._behind(self.place)
        return ast.Name(f"{start.text if start else '?'} …")

    def _behind(self, place: int) -> int:
        """The place behind a token, or behind what a bracket encloses."""
        closing = _CLOSES.get(self._script[place].text)
        if closing is None:
            return place + 1
        opening, depth = self._script[place].text, 0
        for number in range(place, len(self._script)):
            depth += (self._script[number].text == opening) - (self._script[number].text == closing)
            if depth == 0:
                return number + 1
        return len(self._script)

    def _is_arrow(self) -> bool:
        if self._next == "async":
            return True
        is_name = self._script[self.place].kind == "name"
        behind = self._behind(self.place) if self._next == "(" or is_name else len(self._script)
        return behind < len(self._script) and self._script[behind].text == "=>"

    def _function(self) -> ast.expr:
        """A function as what it returns: those without parameters are called where they stand."""
        while self.place < len(self._script) and self._next not in ("{", "=>"):
            self.place = self._behind(self.place)
        if self._take("=>") and self._next != "{":
            return self.expression()
        start, self.place = self.place, self._behind(min(self.place, len(self._script) - 1))
        return return_of(self._script[start + 1 : self.place - 1]) or ast.Name("a function")


def _literal(token: Token) -> ast.expr | None:
    match token.kind:
        case "text":
            return ast.Constant(_unescape(token.text[1:-1]))
        case "number":
            number = token.text.replace("_", "")
            if number.isdigit():
                return ast.Constant(int(number))
            return ast.Constant(int(number, 16) if number.startswith("0x") else float(number))
        case "template":
            return _template(token.text[1:-1])
        case "name" if token.text in _WORDS:
            return ast.Constant(_WORDS[token.text])
        case "name":
            return ast.Name(token.text)
    return None


def _call(owner: ast.expr, arguments: list[ast.expr]) -> ast.expr:
    name = ast.unparse(owner)
    if name == "http.file" and arguments:
        content, *rest = arguments
        return ast.Tuple([rest[0] if rest else ast.Constant(None), content, *rest[1:2]])
    if name == "SharedArray" and len(arguments) == 2:
        return arguments[1]
    match owner:
        case ast.Attribute(value=value, attr=attr):
            return ast.Call(ast.Attribute(value, _NAMES.get(attr, attr)), arguments, [])
    return ast.Call(ast.Name(_NAMES.get(name, name)), arguments, [])


def _template(text: str) -> ast.expr:
    parts: list[ast.expr] = []
    for literal, inner in re.findall(r"((?:\\.|[^$\\]|\$(?!\{))+)|\$\{([^}]*)\}", text, re.DOTALL):
        if literal:
            parts.append(ast.Constant(_unescape(literal)))
        else:
            parts.append(ast.FormattedValue(Parser(tokens(inner)).expression(), -1))
    return ast.JoinedStr(parts)


def _unescape(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return _ESCAPES.get(match[2], match[2])

    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", plain, text, flags=re.DOTALL)
