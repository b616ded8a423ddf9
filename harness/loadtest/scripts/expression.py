"""What an expression of a Python script is, by its syntax tree: nothing is run.

    evaluate(ast.parse("'/predictions/' + NAME", mode="eval").body, Scope({"NAME": ...}))

A file that the script opens is a ``File``, since a profile sends files by their names. Its content
is read only where the script puts it into something else, and only if the file is there.
"""

import ast
import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.loadtest.scripts.plain import content_of, plain
from harness.loadtest.scripts.scope import (
    File,
    Known,
    Scope,
    Unknown,
    assignments,
    function_of,
)

_MANY = 50  # members of a choice: more belong into a file with a line for each


def evaluate(node: object, scope: Scope) -> Any:  # noqa: C901
    """What an expression is.

    Raises:
        Unknown: only a run would tell.
    """
    match node:
        case Known(content=known):
            return known
        case ast.Constant(value=constant):
            return constant
        case ast.Dict(keys=keys, values=members):
            return _mapping(keys, members, scope)
        case ast.List(elts=members):
            return [evaluate(each, scope) for each in members]
        case ast.Tuple(elts=members):
            return tuple(evaluate(each, scope) for each in members)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -number(evaluate(operand, scope), operand)
        case ast.Name(id=name) if name in scope.names:
            return evaluate(scope.names[name], scope.without(name))
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if f"self.{name}" in scope.names:
            return evaluate(scope.names[f"self.{name}"], scope.without(f"self.{name}"))
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, scope) for part in parts)
        case ast.FormattedValue(value=inner):
            return evaluate(inner, scope)
        case ast.BinOp(left=left, op=operator, right=right):
            return _operation(node, operator, evaluate(left, scope), evaluate(right, scope))
        case ast.Subscript(value=many, slice=which):
            return _member(node, evaluate(many, scope), evaluate(which, scope))
        case ast.Subscript():
            pass
        case ast.Await(value=inner):
            return evaluate(inner, scope)
        case ast.Call():
            return _value_of_call(node, scope)
    raise Unknown(ast.unparse(node) if isinstance(node, ast.AST) else str(node))


def inside(function: ast.FunctionDef, call: ast.Call, scope: Scope) -> Scope:
    """The scope in a function that is called: its parameters have the values of the call."""
    parameters = [each.arg for each in function.args.args if each.arg not in ("self", "cls")]
    defaults = function.args.defaults
    bound: dict[str, Any] = dict(zip(parameters[::-1], defaults[::-1], strict=False))
    arguments = dict(zip(parameters, call.args, strict=False))
    arguments |= {each.arg: each.value for each in call.keywords if each.arg}
    for name, argument in arguments.items():
        try:
            bound[name] = Known(evaluate(argument, scope))
        except Unknown:
            continue
    assigned = dict(assignments(function.body))
    functions = {key: each for key, each in scope.functions.items() if each is not function}
    return replace(scope, names={**scope.names, **assigned, **bound}, functions=functions)


def number(content: object, node: ast.AST) -> float:
    """A value as a number.

    Raises:
        Unknown: it is none.
    """
    if isinstance(content, int | float):
        return content
    raise Unknown(ast.unparse(node))


def headers(node: ast.expr, scope: Scope, left_out: list[str]) -> dict[str, str]:
    """The headers of a request; one whose content only a run would tell is named, if no secret.

    Raises:
        Unknown: not even their names are known.
    """
    if isinstance(node, ast.Name) and isinstance(written := scope.names.get(node.id), ast.expr):
        return headers(written, scope.without(node.id), left_out)
    if not isinstance(node, ast.Dict) or None in node.keys:
        known = evaluate(node, scope)
        return {str(name): str(each) for name, each in known.items()} if known else {}
    sent = {}
    for key, member in zip(node.keys, node.values, strict=True):
        name = str(evaluate(key, scope))
        try:
            sent[name] = str(evaluate(member, scope))
        except Unknown as unknown:
            if name.lower() == "authorization":
                sent[name] = "Bearer left out"
            else:
                left_out.append(f"header {name}: {unknown}: only a run would tell")
    return sent


def _mapping(keys: Sequence[ast.expr | None], members: Sequence[ast.expr], scope: Scope) -> Any:
    document: dict[Any, Any] = {}
    for key, member in zip(keys, members, strict=True):
        content = evaluate(member, scope)
        if key is not None:
            document[evaluate(key, scope)] = content
        elif isinstance(content, dict):  # **others
            document |= content
        else:
            raise Unknown(ast.unparse(member))
    return document


def _text(node: ast.AST, scope: Scope) -> str:
    content = evaluate(node, scope)
    if isinstance(content, File):
        return content.path  # of a name that was chosen among those of a folder
    return str(content)


def _operation(node: ast.AST, operator: ast.operator, left: Any, right: Any) -> Any:
    both = (left, right)
    match operator:
        case ast.Add() if isinstance(left, File) or isinstance(right, File):
            pass
        case ast.Add() if all(isinstance(each, str | list | bytes | int | float) for each in both):
            if type(left) is type(right) or all(isinstance(each, int | float) for each in both):
                return left + right
        case ast.Div() if isinstance(left, File) and isinstance(right, str):  # Path("a") / "b"
            return replace(left, path=f"{left.path.rstrip('/')}/{right}")
        case ast.Mod() if isinstance(left, str) and not isinstance(right, File):
            try:
                return left % right
            except (TypeError, ValueError) as error:
                raise Unknown(ast.unparse(node)) from error
        case ast.Mult() if isinstance(left, File | list) and isinstance(right, int):
            return left  # the same ones again
        case ast.Mult() if isinstance(left, str) and isinstance(right, int):
            return left * min(right, 1_000_000)
        case ast.Mult() if all(isinstance(each, int | float) for each in both):
            return left * right
    raise Unknown(ast.unparse(node))


def _member(node: ast.AST, many: Any, which: Any) -> Any:
    try:
        return many[which]
    except (TypeError, LookupError) as error:
        raise Unknown(ast.unparse(node)) from error


def _value_of_call(node: ast.Call, scope: Scope) -> Any:
    if function := function_of(node, scope):
        returned = [each for each in ast.walk(function) if isinstance(each, ast.Return)]
        if len(returned) == 1 and returned[0].value is not None:
            return evaluate(returned[0].value, inside(function, node, scope))
        raise Unknown(ast.unparse(node))
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    name = node.func.id if isinstance(node.func, ast.Name) else name
    drawn = _DRAWN.get(name)
    if drawn:
        middle = drawn(*(evaluate(each, scope) for each in node.args[:2]))
        scope.fixed.append(f"line {node.lineno}: {ast.unparse(node)} is {middle} in every request")
        return middle
    known = _FUNCTIONS.get(name)
    if known is None:
        raise Unknown(ast.unparse(node))
    return known(node, scope)


def _middle(first: float = 0.0, last: float = 1.0) -> float:
    middle = (first + last) / 2
    whole = isinstance(first, int) and isinstance(last, int)
    return int(middle) if whole else round(middle, 6)


_DRAWN: Mapping[str, Callable[..., Any]] = {
    "uniform": lambda first=0.0, last=1.0: _middle(float(first), float(last)),
    "randint": _middle,
    "randrange": lambda first, last=None: _middle(*((0, first) if last is None else (first, last))),
    "random": lambda *_: 0.5,
    "gauss": lambda mean=0.0, _=1.0: mean,
    "normalvariate": lambda mean=0.0, _=1.0: mean,
    "uuid4": lambda *_: "00000000-0000-4000-8000-000000000000",
    "time": lambda *_: 1767225600,
    "isoformat": lambda *_: "2026-01-01T00:00:00",
}
"""Functions whose every call gives another value, and the one that stands for them all."""


def _owner(node: ast.Call, scope: Scope) -> Any:
    """What the method is called on."""
    if isinstance(node.func, ast.Attribute):
        return evaluate(node.func.value, scope)
    raise Unknown(ast.unparse(node))


def _first(node: ast.Call, scope: Scope) -> Any:
    if not node.args:
        raise Unknown(ast.unparse(node))
    return evaluate(node.args[0], scope)


def _open(node: ast.Call, scope: Scope) -> File:
    opened = _first(node, scope) if isinstance(node.func, ast.Name) else _owner(node, scope)
    return opened if isinstance(opened, File) else File(str(opened))


def _same(node: ast.Call, scope: Scope) -> Any:
    """Methods that leave what they are called on, as far as a request shows it."""
    owner = _owner(node, scope)
    if isinstance(owner, File | str | bytes):
        return owner
    raise Unknown(ast.unparse(node))


def _decode(node: ast.Call, scope: Scope) -> Any:
    owner = _owner(node, scope)
    return owner.decode(errors="replace") if isinstance(owner, bytes) else owner


def _encode(node: ast.Call, scope: Scope) -> Any:
    owner = _owner(node, scope)
    return owner.encode() if isinstance(owner, str) else owner


def _base64(node: ast.Call, scope: Scope) -> bytes:
    content = _first(node, scope)
    if isinstance(content, File):
        return bytes(content_of(content, scope, base64.b64encode))
    if isinstance(content, str | bytes):
        return base64.b64encode(content.encode() if isinstance(content, str) else content)
    raise Unknown(ast.unparse(node))


def _choice(node: ast.Call, scope: Scope) -> Any:
    many = _first(node, scope)
    if isinstance(many, File):
        return many
    if isinstance(many, list | tuple) and 0 < len(many) <= _MANY:
        scope.pick.of = max(scope.pick.of, len(many))
        return many[scope.pick.index % len(many)]
    if isinstance(many, list | tuple) and many:
        hint = "write them to a file, a line each, and use bodyLines"
        raise Unknown(f"one of {len(many):,} ({hint})")
    raise Unknown(ast.unparse(node))


def _load(node: ast.Call, scope: Scope) -> Any:
    opened = _first(node, scope)
    if isinstance(opened, str):
        return _parse(node, opened)
    if isinstance(opened, File) and (scope.folder / opened.path).is_file():
        return content_of(opened, scope, json.loads)
    return opened


def _parse(node: ast.AST, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Unknown(ast.unparse(node)) from error


def _basename(node: ast.Call, scope: Scope) -> str:
    path = _first(node, scope)
    return Path(path.path if isinstance(path, File) else str(path)).name


def _join(node: ast.Call, scope: Scope) -> Any:
    joined = [evaluate(part, scope) for part in node.args]
    if not joined:
        raise Unknown(ast.unparse(node))
    if isinstance(joined[-1], File):  # of os.listdir(folder)
        return joined[-1]
    if isinstance(joined[0], list):  # ", ".join(words)
        return str(_owner(node, scope)).join(map(str, joined[0]))
    return "/".join(_text(part, scope).rstrip("/") for part in node.args)


def _format(node: ast.Call, scope: Scope) -> str:
    named = {each.arg: evaluate(each.value, scope) for each in node.keywords if each.arg}
    try:
        return str(_owner(node, scope)).format(
            *(evaluate(each, scope) for each in node.args), **named
        )
    except (LookupError, ValueError, AttributeError) as error:
        raise Unknown(ast.unparse(node)) from error


def _get(node: ast.Call, scope: Scope) -> Any:
    """``os.environ.get(name, default)`` and ``os.getenv``: the default."""
    if len(node.args) == 2:
        return evaluate(node.args[1], scope)
    raise Unknown(ast.unparse(node))


def _lines(node: ast.Call, scope: Scope) -> Any:
    owner = _owner(node, scope)
    if isinstance(owner, File):
        return replace(owner, is_lines=True)
    return owner.splitlines() if isinstance(owner, str) else _same(node, scope)


def _dumps(node: ast.Call, scope: Scope) -> Any:
    document = _first(node, scope)
    return document if isinstance(document, File) else json.dumps(plain(document, scope))


_FUNCTIONS: Mapping[str, Callable[[ast.Call, Scope], Any]] = {
    **dict.fromkeys(("open", "Path", "read", "read_bytes", "read_text"), _open),
    **dict.fromkeys(("strip", "rstrip", "copy", "resolve", "absolute"), _same),
    **dict.fromkeys(("list", "sorted", "cycle", "iter", "BytesIO", "bytes", "bytearray"), _first),
    **dict.fromkeys(("choice", "next"), _choice),
    **dict.fromkeys(("get", "getenv"), _get),
    **dict.fromkeys(("readlines", "splitlines"), _lines),
    **dict.fromkeys(("load", "loads"), _load),
    **dict.fromkeys(("b64encode", "standard_b64encode"), _base64),
    **dict.fromkeys(
        ("glob", "iglob"), lambda node, scope: File(_pattern(node, str(_first(node, scope)), scope))
    ),
    "range": lambda node, scope: _numbers(node, [evaluate(each, scope) for each in node.args]),
    "listdir": lambda node, scope: File(f"{_first(node, scope)}/*"),
    "basename": _basename,
    "str": lambda node, scope: str(_first(node, scope)),
    "decode": _decode,
    "encode": _encode,
    "dumps": _dumps,
    "join": _join,
    "format": _format,
}


def _numbers(node: ast.AST, limits: Sequence[Any]) -> list[int]:
    try:
        return list(range(*limits)[:_MANY])
    except (TypeError, ValueError) as error:
        raise Unknown(ast.unparse(node)) from error


def _pattern(node: ast.Call, pattern: str, scope: Scope) -> str:
    """``glob.glob("a/*")``, or ``Path("a").glob("*")``."""
    match node.func:
        case ast.Attribute(value=ast.Call() as folder):
            return f"{_open_path(folder, scope).rstrip('/')}/{pattern}"
    return pattern


def _open_path(node: ast.Call, scope: Scope) -> str:
    opened = evaluate(node, scope)
    return opened.path if isinstance(opened, File) else str(opened)
