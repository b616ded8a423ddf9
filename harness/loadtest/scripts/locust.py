"""Plain locustfiles and scripts of ``requests``, read by their syntax tree and never executed.

Understood is what names its request by literals, module and class constants, and local variables:
paths, ``json=``, ``data=``, ``files=``, ``headers=``, ``params=``, files that are opened, a random
choice of files or of literals, ``wait_time`` and the weights of tasks. The rest is named by line.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin

from harness.loadtest.scripts.call import FORM, Call
from harness.loadtest.scripts.script import Script

_VERBS = {"get", "post", "put", "patch", "delete", "head", "options"}
_CLIENTS = {"client", "session", "requests", "http"}
_READ = ("headers", "params", "json", "files", "data", "timeout", "verify", "url")
_IGNORED = {"name", "catch_response", "stream", "allow_redirects", "auth", "context"}


@dataclass(frozen=True, slots=True)
class File:
    """A file that the script opens; a pattern where it takes one of many."""

    path: str


@dataclass(slots=True)
class Pick:
    """Which member ``random.choice`` of literals is in this reading, and of how many."""

    index: int = 0
    of: int = 1


class _Unknown(Exception):  # noqa: N818 - an expression, not a fault
    """An expression whose value only a run would tell."""


Names = Mapping[str, ast.expr | File | Pick]
_PICK = "random.choice"  # among the names, where no variable can have this one


def read(source: str) -> Script:
    """The requests of a locustfile, each with the weight of its task."""
    tree = ast.parse(source)
    script = Script()
    module = dict(_assignments(tree.body))
    classes = [each for each in ast.walk(tree) if isinstance(each, ast.ClassDef)]
    for each in classes:
        _Class(each, module, script).read()
    for function in [each for each in tree.body if not isinstance(each, ast.ClassDef)]:
        script.calls += _calls(function, {**module, **dict(_assignments([function]))}, script)
    return script


@dataclass(frozen=True, slots=True)
class _Class:
    """A user of locust, or a set of tasks."""

    node: ast.ClassDef
    module: Names
    script: Script

    def read(self) -> None:
        attributes = dict(_assignments(self.node.body))
        names = {**self.module, **{f"self.{name}": each for name, each in attributes.items()}}
        if "LoadTestShape" in [ast.unparse(base) for base in self.node.bases]:
            self._leave(self.node, f"{self.node.name}: its stages are yours to write")
            return
        self._wait(attributes.get("wait_time"))
        host = _text(attributes.get("host"), names)
        weight = _number(attributes.get("weight"), names) or 1.0
        for function in [each for each in self.node.body if isinstance(each, ast.FunctionDef)]:
            tasks = [task for each in function.decorator_list if (task := _task(each, names))]
            local = {**names, **dict(_assignments(function.body))}
            for call in _calls(function, local, self.script):
                call.url = urljoin(host, call.url) if host else call.url
                call.weight *= weight * (tasks[0] if tasks else 1.0)
                if tasks:
                    self.script.calls.append(call)
                else:
                    self._leave(function, f"{function.name}() is no task: left out")

    def _wait(self, waits: ast.expr | File | None) -> None:
        match waits:
            case ast.Call(func=ast.Name(id="between"), args=[first, last]):
                self.script.think = (_literal(first), _literal(last))
            case ast.Call(func=ast.Name(id="constant"), args=[pause]):
                self.script.think = (_literal(pause), _literal(pause))
            case None:
                pass
            case _:
                self._leave(waits, f"wait_time = {ast.unparse(waits)}: not carried over")  # type: ignore[arg-type]

    def _leave(self, node: ast.AST, words: str) -> None:
        self.script.left_out.append(f"line {getattr(node, 'lineno', 0)}: {words}")


def _task(decorator: ast.expr, names: Names) -> float | None:
    """The weight that a decorator gives to a task; None for any other decorator."""
    match decorator:
        case ast.Name(id="task") | ast.Attribute(attr="task"):
            return 1.0
        case ast.Call(func=ast.Name(id="task") | ast.Attribute(attr="task"), args=args):
            return (_number(args[0], names) or 1.0) if args else 1.0
    return None


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr | File]]:
    """The names that statements assign, and the files that they open."""
    for statement in body:
        for node in ast.walk(statement):
            match node:
                case ast.ClassDef() if node is not statement:
                    continue
                case ast.Assign(targets=[ast.Name(id=name)], value=assigned):
                    yield name, assigned
                case ast.Assign(
                    targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=assigned
                ):
                    yield f"self.{name}", assigned
                case ast.withitem(context_expr=opened, optional_vars=ast.Name(id=name)):
                    yield name, opened


def _calls(node: ast.AST, names: Names, script: Script) -> list[Call]:
    calls: list[Call] = []
    loops = [each for each in ast.walk(node) if isinstance(each, ast.For)]
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and (verb := _verb(each)):
            try:
                for turn in _turns(loops, names):
                    calls += _picks(each, verb, turn, script)
            except _Unknown as unknown:
                why = "only a run would tell, so its request is left out"
                script.left_out.append(f"line {each.lineno}: {unknown}: {why}")
    return list({json.dumps([each.url, each.keys], default=str): each for each in calls}.values())


def _picks(node: ast.Call, verb: str, names: Names, script: Script) -> Iterator[Call]:
    """The call with each member of what it chooses from, in equal shares."""
    pick = Pick()
    while pick.index < pick.of:
        call = _call(node, verb, {**names, _PICK: pick}, script)
        call.weight = 1 / pick.of
        yield call
        pick.index += 1


def _turns(loops: list[ast.For], names: Names) -> Iterator[Names]:
    """The names in each turn of the first loop over literals; as they are without one."""
    for loop in loops:
        match loop:
            case ast.For(
                target=ast.Name(id=name), iter=ast.List(elts=turns) | ast.Tuple(elts=turns)
            ):
                for turn in turns:
                    yield {**names, name: turn}
                return
    yield names


def _verb(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=verb):
            return verb if owner in _CLIENTS and verb in {*_VERBS, "request"} else ""
    return ""


def _call(node: ast.Call, verb: str, names: Names, script: Script) -> Call:
    arguments = list(node.args)
    if verb == "request":
        verb = str(_evaluate(arguments.pop(0), names)).lower()
    options = {each.arg: each.value for each in node.keywords if each.arg}
    if arguments:
        options["url"] = arguments[0]
    if len(arguments) > 1 and verb != "get":
        options["data"] = arguments[1]
    if "url" not in options:
        raise _Unknown(ast.unparse(node))
    script.left_out += [
        f"line {node.lineno}: {name}= is not carried over"
        for name in options
        if name not in {*_READ, *_IGNORED}
    ]
    call = Call(str(_evaluate(options.pop("url"), names)))
    settings = {name: _evaluate(options[name], names) for name in _READ if name in options}
    _put(call, settings, script)
    if verb != ("post" if call.has_body else "get"):
        call.keys["method"] = verb.upper()
    return call


def _put(call: Call, settings: Mapping[str, Any], script: Script) -> None:
    """Give a call what the arguments of ``requests`` say."""
    headers = list(settings.get("headers", {}).items())
    if "params" in settings:
        call.url += f"?{urlencode(settings['params'])}"
    if "json" in settings:
        call.keys["json"] = settings["json"]
    elif "files" in settings:
        call.keys["form"] = dict(_form(settings["files"])) | dict(settings.get("data", {}))
    elif "data" in settings:
        headers += _body(call, settings["data"])
    call.put_headers((str(name), str(each)) for name, each in headers)
    script.timeout = settings.get("timeout", script.timeout)
    script.insecure = script.insecure or settings.get("verify") is False
    script.left_out += call.left_out
    script.auth = "TOKEN" if call.bearer else script.auth


def _form(files: Any) -> Iterator[tuple[str, str]]:
    for name, part in files.items() if isinstance(files, dict) else files:
        content = part[1] if isinstance(part, tuple) and len(part) > 1 else part
        kind = f";type={part[2]}" if isinstance(part, tuple) and len(part) > 2 else ""
        yield name, f"@{content.path}{kind}" if isinstance(content, File) else str(content)


def _body(call: Call, body: object) -> list[tuple[str, str]]:
    """Give a call its body; return the headers that ``requests`` adds."""
    match body:
        case File(path=path):
            call.put_file(path)
        case dict():
            call.keys["body"] = urlencode(body)
            return [("Content-Type", FORM)]
        case bytes():
            call.put_text(body.decode("latin-1"))
        case _:
            call.put_text(str(body))
    return []


def _evaluate(node: object, names: Names) -> object:  # noqa: C901
    """What an expression is, without running anything.

    Raises:
        _Unknown: only a run would tell.
    """
    match node:
        case File():
            return node
        case ast.Constant(value=constant):
            return constant
        case ast.Dict(keys=keys, values=members):
            return {
                _evaluate(k, names): _evaluate(v, names) for k, v in zip(keys, members, strict=True)
            }
        case ast.List(elts=members):
            return [_evaluate(each, names) for each in members]
        case ast.Tuple(elts=members):
            return tuple(_evaluate(each, names) for each in members)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -float(str(_evaluate(operand, names)))
        case ast.Name(id=name) if name in names:
            return _evaluate(names[name], {k: v for k, v in names.items() if k != name})
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if f"self.{name}" in names:
            key = f"self.{name}"
            return _evaluate(names[key], {k: v for k, v in names.items() if k != key})
        case ast.JoinedStr(values=parts):
            return "".join(str(_evaluate(part, names)) for part in parts)
        case ast.FormattedValue(value=inner):
            return _evaluate(inner, names)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, last = _evaluate(left, names), _evaluate(right, names)
            if isinstance(first, str) and isinstance(last, str):
                return first + last
        case ast.Call(func=ast.Name(id="open"), args=[path, *_]):
            opened = _evaluate(path, names)
            return opened if isinstance(opened, File) else File(str(opened))
        case ast.Call(func=ast.Attribute(value=opened, attr="read" | "read_bytes" | "read_text")):
            return _evaluate(opened, names)
        case ast.Call(func=ast.Name(id="Path"), args=[path]):
            return File(str(_evaluate(path, names)))
        case ast.Call(func=ast.Attribute(attr="get" | "getenv"), args=[_, default]):
            return _evaluate(default, names)
        case ast.Call(func=ast.Attribute(attr="load"), args=[opened]):
            return _evaluate(opened, names)
        case ast.Call(func=ast.Attribute(attr="dumps"), args=[document, *_]):
            return json.dumps(_evaluate(document, names))
        case ast.Call(func=ast.Attribute(attr="glob" | "iglob"), args=[pattern]):
            return File(str(_evaluate(pattern, names)))
        case ast.Call(func=ast.Attribute(attr="listdir"), args=[folder]):
            return File(f"{_evaluate(folder, names)}/*")
        case ast.Call(func=ast.Attribute(attr="choice"), args=[many]):
            chosen, pick = _evaluate(many, names), names.get(_PICK)
            if isinstance(chosen, File):
                return chosen
            if isinstance(chosen, list | tuple) and chosen and isinstance(pick, Pick):
                pick.of = max(pick.of, len(chosen))
                return chosen[pick.index % len(chosen)]
        case ast.Call(func=ast.Attribute(attr="join"), args=parts):
            joined = [_evaluate(part, names) for part in parts]
            if isinstance(joined[-1], File):  # of os.listdir(folder)
                return joined[-1]
            return "/".join(str(each).rstrip("/") for each in joined)
    raise _Unknown(ast.unparse(node) if isinstance(node, ast.AST) else str(node))


def _literal(node: ast.expr) -> float:
    return _number(node, {}) or 0.0


def _number(node: object, names: Names) -> float | None:
    try:
        return float(str(_evaluate(node, names))) if node is not None else None
    except (_Unknown, ValueError):
        return None


def _text(node: object, names: Names) -> str:
    try:
        return str(_evaluate(node, names)) if node is not None else ""
    except _Unknown:
        return ""
