"""Lines of ab, hey and wrk: how many, how fast, and one request."""

import argparse
from collections.abc import Sequence

from harness.loadtest.scripts.call import Call, header
from harness.loadtest.scripts.command import Parser
from harness.loadtest.scripts.script import Script

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
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
_DEFAULTS = {"ab": (1, 1, None), "hey": (50, 200, None), "wrk": (10, None, 10.0)}
_HEADERS = {"type": "Content-Type", "accept": "Accept", "host": "Host", "agent": "User-Agent"}


def read(tool: str, words: Sequence[str]) -> Script:
    """A line; ``words`` begin behind the tool's name."""
    options, urls, unknown = _parser(tool).read(words)
    script = _pace(tool, options)
    script.left_out += [f"{tool} {each}: not carried over" for each in unknown]
    if options.script:
        script.left_out.append(
            f"{tool} -s {options.script}: not read, its requests are yours to add"
        )
    for url in urls[:1]:
        script.take(_call(url, options))
    return script


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
    users, requests, seconds = _DEFAULTS[tool]
    script = Script(
        users=int(options.users or users),
        requests=int(options.requests) if options.requests else None,
        seconds=_seconds(options.seconds),
        timeout=_seconds(options.timeout),
    )
    if script.seconds is None and script.requests is None:
        script.requests, script.seconds = requests, seconds
    if options.rate:
        # hey keeps each of its workers to this rate.
        script.rate = float(options.rate) * ((script.users or 1) if tool == "hey" else 1)
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
    if method and method.upper() != ("POST" if call.has_body else "GET"):
        call.keys["method"] = method.upper()
    return call


def _seconds(text: str | None) -> float | None:
    """``30``, ``30s``, ``5m`` as seconds."""
    if not text:
        return None
    number = text.rstrip("msh")
    return float(number) * _UNITS.get(text[len(number) :], 1.0)
