"""What the Collector's agent of infra/logging makes of lines: the shipped operators, played.

    documents = collector_agent.documents(path, [b"2026-01-01T00:00:00.0Z stdout F hello"])

An operator or an expression that is not known here fails: whoever changes agent.yml says here what
it means. tests/e2e/test_logging.py holds this against the real agent.
"""

import functools
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from harness.core import repository
from harness.core.values import Value, items, mapping, text
from tests.support.container_log import ID, Document

AGENT = repository.find(Path(__file__)).root / "infra/logging/base/agent.yml"
NOW = "2026-01-01T00:00:00.250000000Z"
"""What the clock says of a line that has no time."""

_SPACES = b"\r\n\t "
_STEP = re.compile(r'(\w+)|\["([^"]+)"\]')
_CRI = re.compile(
    r"(?P<time>[^ Z]+(?:Z|[+-]\d\d:\d\d)) (?P<stream>stdout|stderr) (?P<tag>[^ ]*) ?(?P<log>.*)",
    re.DOTALL,
)
_TIME = re.compile(r"(.{19})[.]?(\d*)(.+)")


@dataclass
class _Entry:
    body: Any
    attributes: dict[str, Any]
    timestamp: str = ""
    is_dropped: bool = False


class _Missing(Exception):  # noqa: N818 - what the operator's on_error is about
    """An operator cannot: the entry goes on as it is."""


def documents(path: str, lines: Iterable[bytes]) -> list[Document]:
    """Return what the agent as it ships sends of a container's file.

    Args:
        path: where the file is on the node.
        lines: as the runtime wrote them, without their ends.
    """
    receiver = _receiver()
    operators = [_operator(mapping(each)) for each in items(receiver, "operators")]
    errors = "surrogateescape" if receiver.get("encoding") == "utf-8-raw" else "replace"
    entries = []
    for line in filter(None, map(_trim(receiver), lines)):
        entry = _Entry(line.decode(errors=errors), {"log.file.path": path})
        for run in operators:
            if not entry.is_dropped:
                run(entry)
        if not entry.is_dropped:
            entries.append(entry)
    return [Document(mapping(each.body), text(each.attributes, ID)) for each in entries]


def _trim(receiver: Value) -> Callable[[bytes], bytes]:
    """What the receiver takes from the ends of each line, unless it is told to keep it.

    https://pkg.go.dev/github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/trim
    """

    def trim(line: bytes) -> bytes:
        if not receiver.get("preserve_leading_whitespaces"):
            line = line.lstrip(_SPACES)
        return line if receiver.get("preserve_trailing_whitespaces") else line.rstrip(_SPACES)

    return trim


@functools.cache
def _receiver() -> Value:
    return mapping(yaml.safe_load(AGENT.read_text()), "receivers", "file_log")


def _operator(settings: Value) -> Callable[[_Entry], None]:
    run = _OPERATORS[text(settings, "type")](settings)
    condition = _expression(text(settings, "if")) if "if" in settings else None

    def operate(entry: _Entry) -> None:
        try:
            if condition is None or condition(entry):
                run(entry)
        except (_Missing, TypeError, KeyError):
            assert settings.get("on_error", "send") in ("send", "send_quiet")

    return operate


def _steps(name: str) -> list[str]:
    return [plain or quoted for plain, quoted in _STEP.findall(name)]


def _get(entry: _Entry, name: str) -> Any:
    value: Any = vars(entry)
    for step in _steps(name):
        if not isinstance(value, dict) or step not in value:
            raise _Missing(name)
        value = value[step]
    return value


def _set(entry: _Entry, name: str, value: Any) -> None:
    first, *steps = _steps(name)
    if not steps:
        setattr(entry, first, value)
        return
    if not isinstance(getattr(entry, first), dict):
        setattr(entry, first, {})
    holder = getattr(entry, first)
    for step in steps[:-1]:
        holder = holder.setdefault(step, {})
    holder[steps[-1]] = value


def _parse_regex(settings: Value) -> Callable[[_Entry], None]:
    regex = re.compile(text(settings, "regex"))

    def run(entry: _Entry) -> None:
        match = regex.search(_get(entry, text(settings, "parse_from")))
        if not match:
            raise _Missing("no match")
        _set(entry, text(settings, "parse_to"), match.groupdict())

    return run


@dataclass
class _Container:
    """CRI, and parts of a line: whose they are is by what `log.file.path` says then."""

    parts: dict[str, _Entry] = field(default_factory=dict)

    def __call__(self, entry: _Entry) -> None:
        match = _CRI.fullmatch(entry.body)
        if not match:
            raise _Missing("not containerd's")
        entry.body, entry.timestamp = match["log"], _utc(match["time"])
        entry.attributes |= {"log.iostream": match["stream"], "logtag": match["tag"]}
        source = entry.attributes["log.file.path"]
        if first := self.parts.pop(source, None):
            entry.body = first.body + entry.body
            entry.timestamp = first.timestamp
            entry.attributes = {**first.attributes, "logtag": match["tag"]}
        if match["tag"] != "F":
            self.parts[source] = _Entry(entry.body, entry.attributes, entry.timestamp)
            entry.is_dropped = True


def _sanitize(settings: Value) -> Callable[[_Entry], None]:
    name = text(settings, "field")

    def run(entry: _Entry) -> None:
        content = _get(entry, name).encode(errors="surrogateescape")
        _set(entry, name, content.decode(errors="replace"))

    return run


def _container(settings: Value) -> Callable[[_Entry], None]:
    assert settings["format"] == "containerd"
    assert settings["add_metadata_from_filepath"] is False
    return _Container()


def _utc(time: str) -> str:
    """With nine digits."""
    match = _TIME.fullmatch(time)
    assert match
    second = datetime.fromisoformat(match[1] + match[3]).astimezone(UTC)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{match[2]:0<9}Z"


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_JSON = json.JSONDecoder(parse_constant=_refuse)


def _parse_json(settings: Value) -> Callable[[_Entry], None]:
    assert settings["parse_ints"] is True

    def run(entry: _Entry) -> None:
        try:
            value, _ = _JSON.raw_decode(_get(entry, text(settings, "parse_from")))
        except ValueError as error:
            raise _Missing(str(error)) from error
        _set(entry, text(settings, "parse_to"), value)

    return run


def _move(settings: Value) -> Callable[[_Entry], None]:
    source, target = text(settings, "from"), text(settings, "to")

    def run(entry: _Entry) -> None:
        value = _get(entry, source)
        *above, last = _steps(source)
        if above:
            del _get(entry, ".".join(above))[last]
        _set(entry, target, value)

    return run


def _add(settings: Value) -> Callable[[_Entry], None]:
    target, value = text(settings, "field"), text(settings, "value").strip()
    if not value.startswith("EXPR("):
        plain = value.replace("$${env:NODE_NAME}", "node-0")
        return lambda entry: _set(entry, target, plain)
    expression = _expression(value)
    return lambda entry: _set(entry, target, expression(entry))


def _retain(settings: Value) -> Callable[[_Entry], None]:
    assert items(settings, "fields") == ["body", f'attributes["{ID}"]']

    def run(entry: _Entry) -> None:
        entry.attributes = {key: each for key, each in entry.attributes.items() if key == ID}

    return run


_OPERATORS: dict[str, Callable[[Value], Callable[[_Entry], None]]] = {
    "regex_parser": _parse_regex,
    "container": _container,
    "json_parser": _parse_json,
    "move": _move,
    "sanitize_utf8": _sanitize,
    "add": _add,
    "retain": _retain,
}


def _identity(entry: _Entry) -> str:
    parts = [_get(entry, f"body.kubernetes.{each}") for each in ("uid", "container", "restarts")]
    stream = entry.body["kubernetes"].get("stream", "")
    return "/".join([*parts, stream, entry.body["@timestamp"], entry.attributes["length"]])


def _expression(content: str) -> Callable[[_Entry], Any]:
    return _EXPRESSIONS[" ".join(content.split())]


_EXPRESSIONS: dict[str, Callable[[_Entry], Any]] = {
    "EXPR(string(len(body)))": lambda entry: str(len(entry.body)),
    'attributes.kubernetes.namespace in ["torchserve", "envoy-gateway-system"]'
    ' and body startsWith "{" and body endsWith "}"': lambda entry: (
        _get(entry, "attributes.kubernetes.namespace") in ("torchserve", "envoy-gateway-system")
        and entry.body.startswith("{")
        and entry.body.endswith("}")
    ),
    'type(body) == "string"': lambda entry: isinstance(entry.body, str),
    "EXPR((timestamp.IsZero() ? now() :"
    ' timestamp).UTC().Format("2006-01-02T15:04:05.000000000Z"))': lambda entry: (
        entry.timestamp or NOW
    ),
    'EXPR(body.kubernetes.uid + "/" + body.kubernetes.container + "/" + body.kubernetes.restarts +'
    ' "/" + (body.kubernetes.stream ?? "") + "/" + body["@timestamp"] + "/" +'
    " attributes.length)": _identity,
    'body matches "^[^ ]+ stderr "': lambda entry: bool(re.match("[^ ]+ stderr ", entry.body)),
    'EXPR(attributes["log.file.path"] + " stderr")': lambda entry: (
        entry.attributes["log.file.path"] + " stderr"
    ),
    '"log.iostream" in attributes': lambda entry: "log.iostream" in entry.attributes,
}
