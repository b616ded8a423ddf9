"""Calls of ``requests``, httpx and locust's client in Python code, as requests of a profile."""

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

from harness.loadtest.scripts.call import FORM, Call
from harness.loadtest.scripts.expression import evaluate, headers, inside
from harness.loadtest.scripts.plain import plain
from harness.loadtest.scripts.scope import File, Known, Pick, Scope, Unknown, function_of
from harness.loadtest.scripts.script import Script

CLIENTS = {"client", "session", "requests", "http", "httpx"}
_VERBS = {"get", "post", "put", "patch", "delete", "head", "options"}
_READ = ("params", "json", "files", "data", "content", "timeout", "verify", "url")
_IGNORED = {"name", "catch_response", "stream", "allow_redirects", "auth", "context", "method"}
_DEEP = 5  # functions that call each other


class Reader:
    """Reads the requests of functions into a script.

    Attributes:
        unread: what was not understood, as lines to print.
        read_inside: names of the functions that were read where they are called.
    """

    def __init__(self, script: Script, host: str, headers: Mapping[str, str] | None = None) -> None:
        self.script, self._host, self._headers = script, host, dict(headers or {})
        self.unread: list[str] = []
        self.read_inside: set[str] = set()

    def read(self, node: ast.AST, scope: Scope, weight: float = 1.0) -> None:
        """The requests of a function or a statement."""
        calls = {
            json.dumps([each.url, each.keys], default=str): each for each in self._of(node, scope)
        }
        for call in calls.values():
            call.url = urljoin(self._host, call.url) if self._host else call.url
            call.weight *= weight
            self.script.calls.append(call)

    def _of(self, node: ast.AST, scope: Scope, depth: int = 0) -> Iterator[Call]:
        loops = [each for each in ast.walk(node) if isinstance(each, ast.For)]
        for each in ast.walk(node):
            if not isinstance(each, ast.Call):
                continue
            verb = _verb(each)
            try:
                for turn in _turns(loops, scope):
                    if verb:
                        yield from self._picks(each, verb, turn)
                    elif depth < _DEEP and (function := function_of(each, turn)):
                        self.read_inside.add(function.name)
                        yield from self._of(function, inside(function, each, turn), depth + 1)
                    elif depth < _DEEP and (mapped := _call_of_pool(each, turn)):
                        function, argument = mapped
                        self.read_inside.add(function.name)
                        yield from self._of(function, inside(function, argument, turn), depth + 1)
            except Unknown as unknown:
                why = "only a run would tell, so its request is left out"
                self.unread.append(f"line {each.lineno}: {unknown}: {why}")

    def _picks(self, node: ast.Call, verb: str, scope: Scope) -> Iterator[Call]:
        """The call with each member of what it chooses from, in equal shares."""
        pick = Pick()
        while pick.index < pick.of:
            call = self._call(node, verb, replace(scope, pick=pick))
            call.weight = 1 / pick.of
            yield call
            pick.index += 1

    def _call(self, node: ast.Call, verb: str, scope: Scope) -> Call:
        arguments = list(node.args)
        options: dict[str, Any] = {each.arg: each.value for each in node.keywords if each.arg}
        if verb == "request":
            method = options.get("method") or (arguments.pop(0) if arguments else None)
            verb = str(evaluate(method, scope)).lower()
        if arguments:
            options["url"] = arguments[0]
        if len(arguments) > 1 and verb != "get":
            options["data"] = arguments[1]
        if "url" not in options:
            raise Unknown(ast.unparse(node))
        self.script.left_out += [
            f"line {node.lineno}: {name}= is not carried over"
            for name in options
            if name not in {"headers", *_READ, *_IGNORED}
        ]
        call = Call(address(options.pop("url"), scope, self.script))
        settings = {name: evaluate(options[name], scope) for name in _READ if name in options}
        if "headers" in options:
            settings["headers"] = headers(options["headers"], scope, self.script.left_out)
        self._put(call, settings, scope)
        call.put_method(verb.upper())
        return call

    def _put(self, call: Call, settings: Mapping[str, Any], scope: Scope) -> None:
        """Give a call what the arguments of ``requests`` say."""
        script = self.script
        sent = [*self._headers.items(), *_pairs(settings.get("headers"))]
        if params := settings.get("params"):
            call.url += f"?{urlencode(params)}"
        if isinstance(settings.get("json"), File):
            sent.append(("Content-Type", "application/json"))
            call.put_file(settings["json"].path)
        elif settings.get("json") is not None:
            call.keys["json"] = plain(settings["json"], scope)
        elif settings.get("files"):
            fields = [(name, str(each)) for name, each in _pairs(settings.get("data"))]
            call.put_form([*fields, *form(settings["files"])])
        elif (body := settings.get("data") or settings.get("content")) is not None:
            sent += _body(call, body, scope)
        call.put_headers((str(name), str(each)) for name, each in dict(sent).items())
        timeout = settings.get("timeout", script.timeout)
        longest = max(timeout) if isinstance(timeout, tuple) else timeout
        script.timeout = longest if isinstance(longest, int | float) else script.timeout
        script.insecure = script.insecure or settings.get("verify") is False
        script.left_out += call.left_out
        script.auth = "TOKEN" if call.bearer else script.auth


def _pairs(mapping: Any) -> list[tuple[str, Any]]:
    return list(mapping.items()) if isinstance(mapping, dict) else []


def _call_of_pool(call: ast.Call, scope: Scope) -> tuple[ast.FunctionDef, ast.Call] | None:
    """``executor.map(function, many)`` and ``submit(function, …)`` as a call of the function."""
    match call:
        case ast.Call(func=ast.Attribute(attr="map"), args=[ast.Name(id=name), many, *_]):
            chosen = ast.Call(ast.Name("choice"), [many], [])
        case ast.Call(func=ast.Attribute(attr="submit"), args=[ast.Name(id=name), chosen, *_]):
            pass
        case _:
            return None
    function = scope.functions.get(name)
    argument = ast.Call(call.func, [ast.copy_location(chosen, call)], [])
    return (function, ast.copy_location(argument, call)) if function else None


def _turns(loops: list[ast.For], scope: Scope) -> Iterator[Scope]:
    """The names in each turn of the first loop over literals; as they are without one."""
    for loop in loops:
        if isinstance(loop.target, ast.Name):
            try:
                turns = evaluate(loop.iter, scope)
            except Unknown:
                continue
            if isinstance(turns, File):
                yield replace(scope, names={**scope.names, loop.target.id: Known(turns)})
                return
            if isinstance(turns, list | tuple) and turns:
                for turn in turns:
                    yield replace(scope, names={**scope.names, loop.target.id: Known(turn)})
                return
    yield scope


def _verb(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=verb):
            return verb if owner in CLIENTS and verb in {*_VERBS, "request"} else ""
    return ""


def address(node: ast.expr, scope: Scope, script: Script) -> str:
    """The address of a request; of one whose host only a run would tell, the path.

    Raises:
        Unknown: not even that is known.
    """
    try:
        text = evaluate(node, scope)
    except Unknown:
        match node:
            case ast.Name(id=name) if isinstance(scope.names.get(name), ast.expr):
                return address(scope.names[name], scope.without(name), script)
            case ast.JoinedStr(values=[ast.FormattedValue(value=host), *rest]) if rest:
                text = evaluate(ast.JoinedStr(rest), scope)
            case ast.BinOp(left=host, op=ast.Add(), right=right):
                text = evaluate(right, scope)
            case _:
                raise
        if not str(text).startswith("/"):
            raise
        script.left_out.append(f"{ast.unparse(host)}: only a run would tell; --target names it")
    if isinstance(text, str):
        return text
    raise Unknown(ast.unparse(node))


def form(files: Any) -> Iterator[tuple[str, str]]:
    """The fields of a multipart form: a name each, and a text or ``@FILE``."""
    for name, part in files.items() if isinstance(files, dict) else files:
        sent, content, *kind = part if isinstance(part, tuple) else (None, part)
        if not isinstance(content, File):
            yield name, str(content)
            continue
        is_renamed = sent and str(sent) != Path(content.path).name
        options = f";type={kind[0]}" if kind and kind[0] else ""
        yield name, f"@{content.path}{options}{f';filename={sent}' if is_renamed else ''}"


def _body(call: Call, body: object, scope: Scope) -> list[tuple[str, str]]:
    """Give a call its body; return the headers that ``requests`` adds."""
    match body:
        case File(path=path, is_lines=True):
            call.keys["bodyLines"] = path
        case File(path=path):
            call.put_file(path)
        case dict() | list():
            pairs = _pairs(body) or body
            call.keys["body"] = urlencode(plain(dict(pairs), scope))
            return [("Content-Type", FORM)]
        case bytes():
            try:
                call.put_text(body.decode())
            except ValueError as error:
                raise Unknown(f"{body[:20]!r}, which is not text: put it in a file") from error
        case _:
            call.put_text(str(body))
    return []
