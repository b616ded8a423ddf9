"""Which reader a file needs, by what stands in it."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import InputError
from harness.loadtest.scripts import bench, curl, har, locust
from harness.loadtest.scripts.script import Script

_ESCAPED = re.compile(r"\$'((?:\\.|[^'\\])*)'", re.DOTALL)
_PART = re.compile(
    r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|\d?[<>]+&?\s*[^\s|;&]+|[|;&]|['"\\]|\s|[^'"\\|;&<>\s]+""",
    re.DOTALL,
)
_PROMPT = re.compile(r"^\s*(?:[$>#%]\s+)?")
_PREFIX = re.compile(
    r"^(?:(?:sudo|time|do|then|else|env|exec|nohup|if|while|[{(`!]|\$\(|[A-Za-z_]\w*=\S*)\s+)*[`(]?"
)
_TOOLS = ("ab", "hey", "wrk", "wrk2")


def read(path: Path, text: str) -> Script:
    """What a file says.

    Args:
        path: its name, which tells Python and JavaScript.
        text: its content.

    Raises:
        InputError: no request is in it that can be read here, with what could be done.
    """
    if path.suffix == ".py":
        try:
            return locust.read(text)
        except SyntaxError as error:
            raise InputError(f"is not Python 3: {error.msg}", at=path) from error
    if text.lstrip()[:1] == "{":
        try:
            return har.read(json.loads(text))
        except ValueError as error:
            raise InputError(f"is no HAR file: {error}", at=path) from error
    if path.suffix in (".js", ".ts", ".mjs") or "from 'k6" in text:
        raise InputError(
            "is a script of k6, which is JavaScript: no maintained parser for Python reads it",
            at=path,
            hint="record the run (`k6 run --http-debug`, or a browser's HAR file) and import that",
        )
    script = Script()
    for words in _commands(text, path):
        tool = _tool(words[0])
        if tool == "curl":
            script.add(curl.read(words[1:]))
        elif tool in _TOOLS:
            script.add(bench.read(tool.removesuffix("2"), words[1:]))
    if not script.calls:
        raise InputError(
            "no request is in it that can be read here",
            at=path,
            hint="curl, ab, hey and wrk commands, a HAR file, a locustfile (.py)",
        )
    return script


def _split(line: str) -> Iterator[str]:
    """The commands of a line; pipes and lists end them, redirections are taken out."""
    plain = _ESCAPED.sub(lambda quoted: shlex.quote(_unescape(quoted[1])), line)
    command = ""
    for part in _PART.findall(plain):
        if part in ("|", ";", "&"):
            yield command
            command = ""
        elif part.lstrip("0123456789")[:1] not in ("<", ">"):
            command += part
    yield command


def _unescape(text: str) -> str:
    r"""What bash makes of $'…': \n, \u00e4, \'."""
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape")


def _commands(text: str, path: Path) -> Iterator[list[str]]:
    """The commands of a shell script or a page whose program is one of ours."""
    joined = re.sub(r"[\\^`]\r?\n\s*(?:> )?", " ", text)
    pending = ""
    for line in joined.splitlines():
        pending = f"{pending}\n{_PROMPT.sub('', line)}" if pending else _PROMPT.sub("", line)
        commands = [_PREFIX.sub("", each.strip()) for each in _split(pending)]
        ours = [each for each in commands if _tool(each)]
        try:
            words = [shlex.split(each.rstrip("`)")) for each in ours]
        except ValueError:  # a quote that ends on a later line
            continue
        pending = ""
        yield from words
    if pending:
        raise InputError("a quote is opened and never closed", at=path)


def _tool(command: str) -> str:
    """The program of a command, if it is one that can be read."""
    name = Path(command.partition(" ")[0] or "-").name.removesuffix(".exe")
    return name if name in ("curl", *_TOOLS) else ""
