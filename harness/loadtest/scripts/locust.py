"""Plain locustfiles and scripts of ``requests``, read by their syntax tree and never executed.

Understood is what names its request by literals, constants, variables, the script's own functions
and the files that it opens; waits, weights of tasks, and shapes of stages. What differs in each run
(a random number, the time) is one value, and named; the rest is left out, and named by line.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from harness.core.errors import InputError
from harness.loadtest.scripts.command import Parser
from harness.loadtest.scripts.expression import evaluate, headers
from harness.loadtest.scripts.plain import plain
from harness.loadtest.scripts.python_calls import CLIENTS, Reader
from harness.loadtest.scripts.scope import Scope, Unknown, assignments
from harness.loadtest.scripts.script import Script, ramps


def read(source: str, folder: Path = Path()) -> Script:
    """The requests of a locustfile, each with the weight of its task.

    Args:
        source: its text.
        folder: where it lies, and the files that it opens.
    """
    tree = ast.parse(source)
    functions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    module = Scope(dict(assignments(tree.body)), functions, folder)
    script = Script()
    classes = [each for each in ast.walk(tree) if isinstance(each, ast.ClassDef)]
    weights = {name: weight for each in classes for name, weight in _weights(each, module)}
    host = next((host for each in classes if (host := _host(each, module))), "")
    for each in classes:
        _Class(each, module, script, weights.get(each.name, 1.0), host).read()
    reader = Reader(script, host)
    rest = [each for each in tree.body if not isinstance(each, ast.FunctionDef | ast.ClassDef)]
    for statement in rest:
        reader.read(statement, module)
    for name, function in functions.items():
        if name not in reader.read_inside:
            local = {**module.names, **dict(assignments(function.body))}
            reader.read(function, replace(module, names=local), weights.get(name, 1.0))
    script.left_out += reader.unread + module.fixed
    if not script.calls and "grpc" in source:
        script.left_out.append(
            "it calls by gRPC: write a request with `path: /predictions/NAME` and "
            "`protocol: grpc` (docs/loadtest.md)"
        )
    return script


def of_file(path: Path, text: str) -> Script:
    """A locustfile.

    Raises:
        InputError: it is not Python.
    """
    try:
        return read(text, path.parent)
    except (SyntaxError, ValueError) as error:  # a null byte is a ValueError
        raise InputError(f"is not Python 3: {error}", at=path) from error


def of_command(words: Sequence[str], folder: Path) -> Script:
    """``locust -f FILE --headless -u 50 …``: the file, if it is there, and the command's load."""
    parser = Parser("locust")
    parser.add_argument("-f", "--locustfile", default="locustfile.py")
    parser.add_argument("-u", "--users")
    parser.add_argument("-r", "--spawn-rate")
    parser.add_argument("-t", "--run-time")
    parser.add_argument("-H", "--host", default="")
    for name in ("--csv", "--html", "-L", "--loglevel", "--logfile", "-P", "--web-port"):
        parser.add_argument(name, dest="without_effect")
    parser.flags("--headless", "--only-summary", "--autostart", "--csv-full-history", "--no-web")
    options, _, unknown = parser.read(words)
    path = folder / options.locustfile
    if path.is_file():
        script = of_file(path, path.read_text(encoding="utf-8", errors="replace"))
    else:
        script = Script(left_out=[f"locust: {options.locustfile} is not there; name it too"])
    script.left_out += [f"locust {each}: not carried over" for each in unknown]
    script.users = int(options.users) if (options.users or "").isdigit() else 1
    script.seconds = script.figure("locust", options.run_time)
    speed = script.figure("locust", options.spawn_rate) or 1
    if script.seconds and not script.stages and not script.rate_of_user:
        script.stages = ramps(0, script.users, script.seconds, speed)
    for call in script.calls:
        call.url = urljoin(options.host, call.url) if options.host else call.url
    return script


def _host(node: ast.ClassDef, module: Scope) -> str:
    return _text(dict(assignments(node.body)).get("host"), module)


def _weights(node: ast.ClassDef, module: Scope) -> Iterator[tuple[str, float]]:
    """The weights that ``tasks = {one: 3, other: 1}`` gives to functions and classes."""
    match dict(assignments(node.body)).get("tasks"):
        case ast.Dict(keys=keys, values=weights):
            for key, weight in zip(keys, weights, strict=True):
                if isinstance(key, ast.Name):
                    yield key.id, _number(weight, module) or 1.0


@dataclass(frozen=True, slots=True)
class _Class:
    """A user of locust, or a set of tasks."""

    node: ast.ClassDef
    module: Scope
    script: Script
    weight: float
    host: str

    def read(self) -> None:
        attributes = dict(assignments(self.node.body))
        methods = [each for each in self.node.body if isinstance(each, ast.FunctionDef)]
        scope = replace(
            self.module,
            names={
                **self.module.names,
                **{f"self.{name.removeprefix('self.')}": each for name, each in attributes.items()},
            },
            functions={**self.module.functions, **{f"self.{each.name}": each for each in methods}},
        )
        if "LoadTestShape" in ast.unparse(self.node).partition(":")[0]:
            self._shape(attributes)
            return
        self._wait(attributes)
        self.script.insecure = self.script.insecure or _is(attributes.get("insecure"), True)
        weight = self.weight * (_number(attributes.get("weight"), scope) or 1.0)
        weight *= _task_weight(self.node.decorator_list, scope) or 1.0
        reader = Reader(self.script, self.host, _client_headers(self.node, scope, self.script))
        others = []
        for method in methods:
            names = {**scope.names, **dict(assignments(method.body))}
            share = _task_weight(method.decorator_list, scope)
            if share is None:
                others.append((method, names))
            else:
                reader.read(method, replace(scope, names=names), weight * share)
        self.script.left_out += reader.unread
        for method, names in others:
            unused = Reader(Script(), self.host)
            unused.read(method, replace(scope, names=names))
            if method.name not in reader.read_inside and (unused.script.calls or unused.unread):
                self._leave(method, f"{method.name}() is not a task: left out")

    def _wait(self, attributes: Mapping[str, ast.expr]) -> None:
        waits = attributes.get("wait_time")
        shortest, longest = attributes.get("min_wait"), attributes.get("max_wait")
        if waits is None and (shortest or longest):  # milliseconds, before locust 1.0
            first, last = (_literal(each) / 1000 for each in (shortest, longest or shortest))
            self.script.think = (first, max(first, last))
        match waits:
            case ast.Call(func=func, args=[first_, *rest]):
                name = ast.unparse(func).rpartition(".")[2]
                first, last = _literal(first_), _literal(rest[0] if rest else first_)
                if name in ("between", "constant"):
                    self.script.think = (min(first, last), max(first, last))
                    return
                if name in ("constant_throughput", "constant_pacing") and first:
                    self.script.rate_of_user = first if name == "constant_throughput" else 1 / first
                    return
        if waits is not None:
            self._leave(waits, f"wait_time = {ast.unparse(waits)}: not carried over")

    def _shape(self, attributes: Mapping[str, ast.expr]) -> None:
        try:
            stages = plain(evaluate(attributes["stages"], self.module), self.module)
            self.script.stages = _stages_of_shape(stages)
        except (KeyError, TypeError, Unknown):
            self._leave(self.node, f"{self.node.name}: its stages are yours to write")

    def _leave(self, node: ast.AST, words: str) -> None:
        self.script.left_out.append(f"line {getattr(node, 'lineno', 0)}: {words}")


def _stages_of_shape(stages: list[dict[str, Any]]) -> list[dict[str, object]]:
    """Locust's usual list: each stage lasts until ``duration`` seconds after the start."""
    carried: list[dict[str, object]] = []
    users = elapsed = 0.0
    for stage in stages:
        seconds, level = stage["duration"] - elapsed, stage["users"]
        carried += ramps(users, level, seconds, float(stage.get("spawn_rate") or 0))
        elapsed, users = stage["duration"], level
    return carried


def _task_weight(decorators: list[ast.expr], scope: Scope) -> float | None:
    """The weight that a decorator gives to a task; None if none does."""
    for decorator in decorators:
        match decorator:
            case ast.Name(id="task") | ast.Attribute(attr="task"):
                return 1.0
            case ast.Call(func=ast.Name(id="task") | ast.Attribute(attr="task"), args=args):
                return (_number(args[0], scope) or 1.0) if args else 1.0
    return None


def _client_headers(node: ast.ClassDef, scope: Scope, script: Script) -> dict[str, str]:
    """The headers that ``self.client`` is given once, and that every request has."""
    sent: dict[str, str] = {}
    for each in ast.walk(node):
        match each:
            case ast.Assign(targets=[ast.Attribute(value=client, attr="headers")], value=content):
                pass
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Attribute(value=client, attr="headers"), attr="update"
                ),
                args=[content],
            ):
                pass
            case ast.Assign(targets=[ast.Attribute(value=client, attr="verify")], value=content):
                script.insecure = script.insecure or _is(content, False)
                continue
            case _:
                continue
        if ast.unparse(client).rpartition(".")[2] in CLIENTS:
            try:
                sent |= headers(content, scope, script.left_out)
            except Unknown as unknown:
                words = f"headers of {ast.unparse(client)}: {unknown}: only a run would tell"
                script.left_out.append(f"line {each.lineno}: {words}")
    return sent


def _is(node: object, what: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is what


def _literal(node: object) -> float:
    return _number(node, Scope()) or 0.0


def _number(node: object, scope: Scope) -> float | None:
    try:
        return float(str(evaluate(node, scope))) if node is not None else None
    except (Unknown, ValueError):
        return None


def _text(node: object, scope: Scope) -> str:
    try:
        return str(evaluate(node, scope)) if node is not None else ""
    except Unknown:
        return ""
