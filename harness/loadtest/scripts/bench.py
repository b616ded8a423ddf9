"""Lines of ab, hey, wrk and their kin: how many, how fast, and one request."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from harness.loadtest.scripts.call import Call, header
from harness.loadtest.scripts.command import Parser
from harness.loadtest.scripts.script import Script

_NAMED = ("requests", "users", "seconds", "timeout", "rate", "file", "put", "body")
# The options of each tool by what they mean here.
_OPTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "ab": {
        "requests": ("-n",),
        "users": ("-c",),
        "seconds": ("-t",),
        "timeout": ("-s",),
        "type": ("-T",),
        "file": ("-p",),
        "put": ("-u",),
        "headers": ("-H",),
        "method": ("-m",),
        "secret": ("-C", "-A", "-P"),
        "without_effect": ("-g", "-e", "-v"),
        "flags": ("-k", "-r", "-q", "-d", "-l", "-S"),
    },
    "hey": {
        "requests": ("-n",),
        "users": ("-c",),
        "seconds": ("-z",),
        "timeout": ("-t",),
        "rate": ("-q",),
        "type": ("-T",),
        "file": ("-D",),
        "body": ("-d",),
        "host": ("-host",),
        "headers": ("-H",),
        "method": ("-m",),
        "secret": ("-a",),
        "accept": ("-A",),
        "without_effect": ("-o", "-cpus"),
        "agent": ("-U",),
        "flags": ("-h2", "-disable-keepalive", "-disable-compression", "-disable-redirects"),
    },
    "wrk": {
        "users": ("-c", "--connections"),
        "seconds": ("-d", "--duration"),
        "rate": ("-R", "--rate"),
        "headers": ("-H", "--header"),
        "script": ("-s", "--script"),
        "timeout": ("--timeout",),
        "without_effect": ("-t", "--threads"),
        "flags": ("--latency", "-L"),
    },
}
_OPTIONS["wrk2"] = _OPTIONS["wrk"]
_OPTIONS["oha"] = {
    **{what: each for what, each in _OPTIONS["hey"].items() if what != "agent"},
    "host": ("--host",),
    "method": ("-m", "--method"),
    "without_effect": ("-p", "-o", "--fps"),
    "flags": ("-j", "--json", "--no-tui", "--latency-correction", "--disable-keepalive", "--http2"),
}
_OPTIONS["bombardier"] = {
    "requests": ("-n", "--requests"),
    "users": ("-c", "--connections"),
    "seconds": ("-d", "--duration"),
    "timeout": ("-t", "--timeout"),
    "rate": ("-r", "--rate"),
    "file": ("-f", "--body-file"),
    "body": ("-b", "--body"),
    "headers": ("-H", "--header"),
    "method": ("-m", "--method"),
    "without_effect": ("-o", "-p"),
    "flags": ("-l", "--latencies", "-q", "-k", "--insecure", "--http1", "--http2"),
}
# What a tool does where its line says nothing: users, requests, seconds.
_DEFAULTS = {
    "ab": (1, 1, None),
    "hey": (50, 200, None),
    "wrk": (10, None, 10.0),
    "wrk2": (10, None, 10.0),
    "oha": (50, 200, None),
    "bombardier": (125, None, 10.0),
}
_LUA = r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\[\[.*?\]\])"""
_HEADERS = {"type": "Content-Type", "accept": "Accept", "host": "Host", "agent": "User-Agent"}


def read(tool: str, words: Sequence[str], folder: Path) -> Script:
    """A line; ``words`` begin behind the tool's name.

    Its files are looked for in ``folder``.
    """
    options, urls, unknown = _parser(tool).read(words)
    script = _pace(tool, options)
    script.left_out += [f"{tool} {each}: not carried over" for each in unknown]
    for url in urls[:1]:
        call = _call(url, options)
        if options.script:
            _put_lua(call, folder / options.script, script)
        script.take(call)
    return script


def _put_lua(call: Call, path: Path, script: Script) -> None:
    """Give a call what a script of wrk sets by literals."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    literals = {
        name: re.search(rf"wrk\.{name}\s*=\s*{_LUA}", text, re.DOTALL)
        for name in ("method", "path", "body")
    }
    if method := literals["method"]:
        call.keys["method"] = _unquote(method[1])
    if where := literals["path"]:
        call.url = f"{call.url.rstrip('/')}{_unquote(where[1])}"
    if body := literals["body"]:
        call.put_text(_unquote(body[1]))
    elif file := re.search(rf"io\.open\(\s*{_LUA}", text):
        call.put_file(_unquote(file[1]))
    if call.has_body and call.keys.get("method") == "POST":
        del call.keys["method"]
    pairs = re.findall(rf"wrk\.headers\[\s*{_LUA}\s*\]\s*=\s*{_LUA}", text)
    call.put_headers((_unquote(name), _unquote(content)) for name, content in pairs)
    if not text:
        script.left_out.append(f"wrk -s {path}: cannot be read, so its requests are left out")
    elif re.search(r"function\s+request|\brequest\s*=\s*function", text):
        script.left_out.append(
            f"wrk -s {path}: what its request() makes only a run would tell; read is what it sets"
        )


def _unquote(text: str) -> str:
    if text.startswith("[["):
        return text[2:-2]
    return re.sub(r"\\(.)", lambda each: "\n" if each[1] == "n" else each[1], text[1:-1])


def _parser(tool: str) -> Parser:
    parser = Parser(tool)
    known = _OPTIONS[tool]
    parser.flags(*known["flags"])
    for meaning in (*_NAMED, "method", "secret", "script", "without_effect", *_HEADERS):
        for name in known.get(meaning, ()):
            parser.add_argument(name, dest=meaning)
        parser.set_defaults(**{meaning: None})
    parser.add_argument(*known["headers"], dest="headers", action="append", default=[])
    return parser


def _pace(tool: str, options: argparse.Namespace) -> Script:
    users, requests, duration = _DEFAULTS[tool]
    script = Script()
    figures = {
        name: script.figure(tool, text)
        for name in ("users", "requests", "seconds", "timeout", "rate")
        if (text := getattr(options, name))
    }
    script.users = int(figures.get("users") or users)
    script.requests = int(figures["requests"] or 0) if "requests" in figures else None
    script.seconds, script.timeout = figures.get("seconds"), figures.get("timeout")
    if not script.seconds and not script.requests:
        script.requests, script.seconds = requests, duration
    if rate := figures.get("rate"):
        # hey keeps each of its workers to this rate.
        script.rate = rate * (script.users if tool == "hey" else 1)
        script.users = None
    return script


def _call(url: str, options: argparse.Namespace) -> Call:
    call = Call(url)
    if path := options.file or options.put:
        call.put_file(path)
    elif options.body:
        call.put_text(options.body)
    headers = [(_HEADERS[each], getattr(options, each)) for each in _HEADERS]
    if options.secret:
        headers.append(("Authorization", "left out"))
    named = [(name, content) for name, content in headers if content]
    call.put_headers([*named, *map(header, options.headers)])
    method = options.method or ("PUT" if options.put else "")
    call.put_method(method.upper())
    return call
