"""Scripts of k6: their options, their thresholds, and the requests that they name by literals.

https://grafana.com/docs/k6/latest/using-k6/k6-options/reference/
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from harness.loadtest.scripts.call import FORM, Call
from harness.loadtest.scripts.expression import evaluate, headers
from harness.loadtest.scripts.javascript import Parser, Token, assignments, tokens
from harness.loadtest.scripts.plain import plain
from harness.loadtest.scripts.python_calls import address, form
from harness.loadtest.scripts.scope import File, Known, Pick, Scope, Unknown
from harness.loadtest.scripts.script import Script, ramps, seconds

_VERBS = ("get", "post", "put", "patch", "del", "head", "options", "request")
_WITHOUT_BODY = ("get", "head", "options")
# Of a request of http.batch that is an object: what it does not say.
_OF_BATCH: Mapping[str, ast.expr] = {
    "method": ast.Constant("GET"),
    "url": ast.Name("its URL"),
    "body": ast.Constant(None),
    "params": ast.Dict([], []),
}


def read(source: str, folder: Path) -> Script:
    """The requests of a script, and its load.

    Args:
        source: its text.
        folder: where it lies, and the files that it opens.
    """
    pieces = tokens(source)
    counters = {"__VU": Known(1), "__ITER": Known(0)}
    scope = Scope({**counters, **dict(assignments(pieces))}, folder=folder)
    script = Script()
    script.left_out += [
        f"{name} is one number in every request" for name in counters if name in source
    ]
    try:
        if "options" in scope.names:
            _put_options(plain(evaluate(scope.names["options"], scope), scope), script)
    except Unknown as unknown:
        script.left_out.append(f"options: {unknown}: only a run would tell")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        script.left_out.append(
            "options: are not as k6 has them, so users and time are yours to write"
        )
    for place in range(len(pieces) - 3):
        owner, dot, verb, bracket = pieces[place : place + 4]
        arguments = Parser(pieces, place + 3).arguments
        if owner.text == "http" and dot.text == "." and verb.text in _VERBS:
            _take(script, verb, arguments(), scope)
        elif owner.text == "http" and verb.text == "batch":
            _take_batch(script, verb, arguments(), scope)
        elif owner.text == "sleep" and dot.text == "(":
            _wait(script, owner, Parser(pieces, place + 1).arguments(), scope)
        elif bracket.text == "":
            break
    script.left_out += dict.fromkeys(scope.fixed)
    return script


def _take(script: Script, verb: Token, arguments: list[ast.expr], scope: Scope) -> None:
    pick = Pick()
    try:
        while pick.index < pick.of:
            call = _call(verb.text, list(arguments), replace(scope, pick=pick), script)
            call.weight = 1 / pick.of
            script.take(call)
            pick.index += 1
    except (Unknown, ValueError) as unknown:
        why = "only a run would tell, so its request is left out"
        script.left_out.append(f"line {verb.line}: {unknown}: {why}")


def _call(verb: str, arguments: list[ast.expr], scope: Scope, script: Script) -> Call:
    if verb == "batch":
        verb, arguments = "request", _request(arguments[0], scope)
    method = verb
    if verb == "request" and arguments:
        method = str(evaluate(arguments.pop(0), scope)).lower()
    if not arguments:
        raise Unknown(f"http.{verb}()")
    call = Call(address(arguments[0], scope, script))
    has_body = verb not in _WITHOUT_BODY
    body = evaluate(arguments[1], scope) if has_body and len(arguments) > 1 else None
    rest = arguments[2 if has_body else 1 :]
    # Other parameters (tags, cookies, callbacks) change nothing of what is sent.
    members = _members(rest[0], scope) if rest else {}
    sent = headers(members["headers"], scope, script.left_out) if "headers" in members else {}
    _put_body(call, body, sent, scope)
    call.put_headers(sent.items())
    if "timeout" in members:
        script.timeout = _seconds(evaluate(members["timeout"], scope))
    call.put_method("DELETE" if method == "del" else method.upper())
    return call


def _take_batch(script: Script, verb: Token, arguments: list[ast.expr], scope: Scope) -> None:
    """The requests of ``http.batch``, in a list or an object."""
    requests = arguments[0] if arguments else ast.Name("")
    match _definition(requests, scope):
        case ast.List(elts=members) | ast.Dict(values=members):
            for each in members:
                _take(script, verb, [each], scope)
        case _:
            why = "only a run would tell, so its requests are left out"
            script.left_out.append(f"line {verb.line}: http.batch({ast.unparse(requests)}): {why}")


def _request(node: ast.expr, scope: Scope) -> list[ast.expr]:
    """What ``http.request`` would be given for one request of ``http.batch``."""
    match _definition(node, scope):
        case ast.List(elts=words):
            return list(words)
        case ast.Dict():
            members = {**_OF_BATCH, **_members(node, scope)}
            return [members[key] for key in ("method", "url", "body", "params")]
    return [_OF_BATCH["method"], node]


def _seconds(content: object) -> float:
    """A duration of k6, in whose ``ParseExtendedDuration`` a number without a unit is in ms."""
    text = str(content)
    return seconds(f"{text}ms" if text.replace(".", "", 1).isdigit() else text)


def _members(node: ast.expr, scope: Scope) -> dict[str, ast.expr]:
    """The members of an object, not evaluated."""
    definition = _definition(node, scope)
    if not isinstance(definition, ast.Dict):
        raise Unknown(ast.unparse(node))
    pairs = zip(definition.keys, definition.values, strict=True)
    return {str(evaluate(key, scope)): member for key, member in pairs if key}


def _definition(node: object, scope: Scope) -> object:
    """What a name stands for, through all names; anything else itself."""
    match node:
        case ast.Name(id=name) if name in scope.names:
            return _definition(scope.names[name], scope.without(name))
    return node


def _put_body(call: Call, body: Any, sent: dict[str, str], scope: Scope) -> None:
    match body:
        case None:
            pass
        case File(path=path):
            call.put_file(path)
        case dict() if any(isinstance(each, tuple) for each in body.values()):
            call.put_form(form(body))
        case dict():
            call.keys["body"] = urlencode(plain(body, scope))
            sent.setdefault("Content-Type", FORM)
        case _:
            call.put_text(str(body))


def _wait(script: Script, token: Token, arguments: list[ast.expr], scope: Scope) -> None:
    try:
        pause = float(plain(evaluate(arguments[0], scope), scope))
    except (Unknown, IndexError, TypeError, ValueError):
        script.left_out.append(f"line {token.line}: sleep(…): only a run would tell how long")
        return
    # Each iteration of a user has all of them.
    earlier = script.think[0] if script.think else 0.0
    script.think = (earlier + pause, earlier + pause)


def _put_options(options: Mapping[str, Any], script: Script) -> None:
    script.insecure = options.get("insecureSkipTLSVerify") is True
    _put_thresholds(options.get("thresholds") or {}, script)
    scenarios = options.get("scenarios") or {}
    for name, scenario in list(scenarios.items())[1:]:
        executor = scenario.get("executor")
        script.left_out.append(f"scenario {name} ({executor}): left out, the first one counts")
    load = {**options, **next(iter(scenarios.values()), {})}
    figures = {key: load[key] for key in ("vus", "iterations") if key in load}
    if "duration" in load:
        script.seconds = _seconds(load["duration"])
    if load.get("executor") == "constant-arrival-rate":
        script.rate = load["rate"] / _seconds(load.get("timeUnit", "1s"))
        return
    if load.get("executor") in ("ramping-arrival-rate", "externally-controlled"):
        script.left_out.append(f"{load['executor']}: its stages are yours to write, as rates")
        return
    script.users = figures.get("vus")
    if script.users is None and (script.seconds or figures):
        script.users = 1  # k6's own
    if "iterations" in figures:
        per_user = load.get("executor") == "per-vu-iterations"
        script.requests = figures["iterations"] * ((script.users or 1) if per_user else 1)
    if load.get("stages"):
        script.stages = _stages(load)


def _stages(load: Mapping[str, Any]) -> list[dict[str, object]]:
    """k6 goes from each target to the next in a straight line."""
    stages: list[dict[str, object]] = []
    users = float(load.get("startVUs", load.get("vus", 0)) or 0)
    for stage in load["stages"]:
        duration, target = _seconds(stage["duration"]), stage["target"]
        if duration:
            stages += ramps(users, target, duration, abs(target - users) / duration)
        users = target
    return stages


def _put_thresholds(thresholds: Mapping[str, Any], script: Script) -> None:
    slo: dict[str, Any] = {}
    for metric, limits in thresholds.items():
        for limit in limits if isinstance(limits, list) else [limits]:
            text = str(limit.get("threshold") if isinstance(limit, dict) else limit)
            percentile = re.fullmatch(r"\s*(?:p\((\d+)\)|(med))\s*<=?\s*([\d.]+)\s*", text)
            rate = re.fullmatch(r"\s*rate\s*(?:<=?|==)\s*([\d.]+)\s*", text)
            if metric == "http_req_duration" and percentile:
                key = f"p{percentile[1] or 50}"
                slo.setdefault("latency", {})[key] = float(percentile[3])
            elif metric == "http_req_failed" and rate:
                slo["errorRate"] = float(rate[1])
            else:
                script.left_out.append(
                    f"threshold {metric} {text}: write it under slos, if it fits"
                )
    if slo:
        script.slo = {"errorRate": 0, **slo}
