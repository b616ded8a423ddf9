"""Which reader a file needs, by what stands in it."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from harness.core.errors import InputError
from harness.loadtest.scripts import (
    bench,
    curl,
    har,
    jmeter,
    k6,
    locust,
    postman,
    shell,
    vegeta,
)
from harness.loadtest.scripts.script import Script
from harness.loadtest.scripts.shell import Command

_IMPORT_OF_K6 = re.compile(r"""^\s*(?:import\b.*|\}\s*)\bfrom\s*["']k6\b""", re.MULTILINE)
_DOCUMENT = re.compile(r"\s*\{(?!\s+[^\s\"}])")  # and no group of a shell, `{ curl …; }`
_TOOLS = ("ab", "bombardier", "curl", "hey", "locust", "oha", "vegeta", "wrk", "wrk2")
# Named where they stand, since their requests are left out.
_UNREAD = (
    "artillery",
    "ghz",
    "grpcurl",
    "h2load",
    "http",
    "https",
    "jmeter",
    "k6",
    "siege",
    "wget",
)
_RUNS_ANOTHER = ("docker", "kubectl", "nice", "parallel", "podman", "timeout", "watch", "xargs")


def read(path: Path, text: str) -> Script:
    """What a file says.

    Args:
        path: its name, which tells Python and JavaScript; its files are next to it.
        text: its content.

    Raises:
        InputError: no request is in it that can be read here, with what could be done.
    """
    if path.suffix == ".py":
        return locust.of_file(path, text)
    if _DOCUMENT.match(text):
        return _of_document(path, text)
    if jmeter.is_plan(path, text):
        try:
            return jmeter.read(text)
        except ElementTree.ParseError as error:
            raise InputError(f"is not a test plan of JMeter: {error}", at=path) from error
    if path.suffix in (".js", ".ts", ".mjs") or _IMPORT_OF_K6.search(text):
        script = k6.read(text, path.parent)
    else:
        script = Script()
        for command in shell.commands(text, path, lambda each: bool(_tool(each) or _unread(each))):
            script.add(_of_command(command, path.parent))
    if not (script.calls or script.users):  # a line of locust names the load, and no request
        raise InputError(
            "; ".join(["no request is in it that can be read here", *script.left_out]),
            at=path,
            hint="curl, ab, hey, oha, bombardier, wrk, vegeta and locust commands, a script of k6, "
            "a plan of JMeter, a HAR file, a collection of Postman, a locustfile (.py)",
        )
    return script


def _of_document(path: Path, text: str) -> Script:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not a HAR file: {error}", at=path) from error
    if postman.is_collection(document):
        return postman.read(document)
    if "log" not in document:
        raise InputError(
            "is JSON, and neither a HAR file (it has no `log`) nor a collection of Postman",
            at=path,
            hint="a body is sent by `bodyFile` of a profile (docs/loadtest.md)",
        )
    return har.read(document)


def _of_command(command: Command, folder: Path) -> Script:
    tool = _tool(" ".join(command.words))
    if not tool:
        name = _name(command.words[0])
        return Script(left_out=[f"{name}: is not read, so what it sends is left out"])
    place = next(n for n, word in enumerate(command.words) if _name(word) == tool)
    wrapper, words = command.words[:place], command.words[place + 1 :]
    match tool:
        case "curl":
            script = curl.read(words, command.stdin)
        case "vegeta":
            script = vegeta.read(words, command.stdin, folder)
        case "locust":
            script = locust.of_command(words, folder)
        case _:
            script = bench.read(tool, words, folder)
    if wrapper[:1] in (["xargs"], ["parallel"]):
        script.users = script.users or _at_once(wrapper)
    sent = json.dumps([[call.url, call.keys] for call in script.calls])
    script.left_out += [
        f"{tool}: ${name} is not set in the script, and goes out as it is written"
        for name in sorted(command.unset)
        if f"${name}" in sent or f"${{{name}" in sent
    ]
    if "$(" in sent:
        script.left_out.append(f"{tool}: what is in $(…) only a run would tell: write its value")
    if command.producer and "/dev/stdin" in sent:
        script.left_out.append(
            f"{tool}: its body comes from `{command.producer}`: put it in a file"
        )
    return script


def _at_once(words: Sequence[str]) -> int | None:
    """How many commands xargs and parallel start at once."""
    text = " ".join(words)
    option = re.search(r"\s(?:-P|-j|--jobs|--max-procs)[\s=]*(\d+)", text)
    return int(option[1]) if option else None


def _unread(command: str) -> bool:
    """Whether a command sends requests that cannot be read here."""
    first, *rest = command.split() or ["-"]
    return _name(first) in _UNREAD and any(
        "://" in each or "." in each or "/" in each for each in rest
    )


def _name(word: str) -> str:
    return Path(word or "-").name.removesuffix(".exe")


def _tool(command: str) -> str:
    """The program of a command, if it is one that can be read; a few programs run another one."""
    first, *rest = command.split() or ["-"]
    names = [first, *rest] if _name(first) in _RUNS_ANOTHER else [first]
    return next((_name(each) for each in names if _name(each) in _TOOLS), "")
