"""Lines of vegeta: ``vegeta attack``, and the targets that it gets from a file or a pipe.

https://github.com/tsenart/vegeta#http-format
"""

from collections.abc import Sequence
from pathlib import Path

from harness.loadtest.scripts.call import Call, header
from harness.loadtest.scripts.command import Parser
from harness.loadtest.scripts.script import Script

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_VALUES = ("rate", "duration", "body", "targets", "timeout", "max-workers", "workers", "format")


def read(words: Sequence[str], stdin: str, folder: Path) -> Script:
    """The requests of an attack; no other of its commands sends any."""
    if words[:1] != ["attack"]:
        return Script()
    parser = Parser("vegeta attack")
    for name in (*_VALUES, "output", "name", "connections"):
        parser.add_argument(f"-{name}", f"--{name}")
    parser.add_argument("-header", "--header", action="append", default=[])
    parser.flags("-lazy", "-http2", "-h2c", "-keepalive", "-chunked")
    parser.add_argument("-insecure", "--insecure", action="store_true")
    options, _, unknown = parser.read(words[1:])
    script = Script(insecure=options.insecure)
    script.left_out += [f"vegeta {each}: not carried over" for each in unknown]
    rate, _, unit = (options.rate or "50").partition("/")
    if rate in ("0", "infinity"):
        workers = script.figure("vegeta", options.max_workers or options.workers)
        script.users = int(workers or 10)
    else:
        period = script.figure("vegeta", f"1{unit}" if unit.isalpha() else unit or "1s")
        script.rate = (script.figure("vegeta", rate) or 50) / (period or 1)
    script.seconds = script.figure("vegeta", options.duration)
    script.timeout = script.figure("vegeta", options.timeout)
    text = stdin
    if source := options.targets or (stdin[1:] if stdin.startswith("@") else ""):
        path = folder / source
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        if not text:
            script.left_out.append(f"vegeta: its targets are in {source}, which is not there")
    for call in _targets(text, options.body):
        call.put_headers([*map(header, options.header), *_headers(call)])
        script.take(call)
    return script


def _targets(text: str, body: str | None) -> list[Call]:
    calls: list[Call] = []
    for line in (each.strip() for each in text.splitlines()):
        method, _, rest = line.partition(" ")
        if method in _METHODS and rest:
            calls.append(Call(rest.strip()))
            calls[-1].keys["method"] = method
            if body:
                calls[-1].put_file(body)
        elif line.startswith("@") and calls:
            calls[-1].put_file(line[1:])
        elif ":" in line and calls and not line.startswith("#"):
            name, content = header(line)
            calls[-1].keys.setdefault("headers", {})[name] = content  # type: ignore[index]
    for call in calls:
        if call.keys["method"] == ("POST" if call.has_body else "GET"):
            del call.keys["method"]
    return calls


def _headers(call: Call) -> list[tuple[str, str]]:
    headers = call.keys.pop("headers", {})
    return list(headers.items()) if isinstance(headers, dict) else []
