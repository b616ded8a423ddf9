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
_END = re.compile(r"\d?[<>]|[|;&]")
_PART = re.compile(
    r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|(?<=\s)\d?[<>]|[|;&<>]|['"\\]|\s|[^'"\\|;&<>\s]+""", re.DOTALL
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
            "is a script of k6, which is JavaScript: no kept parser of it is here",
            at=path,
            hint="record the run (`k6 run --http-debug`, or a browser's HAR file) and import that",
        )
    script = Script()
    for words in _commands(text, path):
        tool = Path(words[0]).name
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


def _first_command(line: str) -> str:
    """The line up to a pipe, a redirection or the next command."""
    plain = _ESCAPED.sub(lambda quoted: shlex.quote(_unescape(quoted[1])), line)
    parts = []
    for part in _PART.findall(plain):
        if _END.fullmatch(part):
            break
        parts.append(part)
    return "".join(parts)


def _unescape(text: str) -> str:
    r"""What bash makes of $'…': \n, \u00e4, \'."""
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape")


def _commands(text: str, path: Path) -> Iterator[list[str]]:
    """The commands of a shell script or a page that begin with a tool of ours."""
    joined = text.replace("\\\r\n", " ").replace("\\\n", " ").replace("^\n", " ")
    pending = ""
    for line in joined.splitlines():
        pending = f"{pending}\n{line}" if pending else line
        start = pending.strip().removeprefix("$ ")
        if start.split(" ")[0].rpartition("/")[2] not in ("curl", *_TOOLS):
            pending = ""
            continue
        try:
            words = shlex.split(_first_command(start))
        except ValueError:  # a quote that ends on a later line
            continue
        pending = ""
        yield words
    if pending:
        raise InputError("a quote is opened and never closed", at=path)
