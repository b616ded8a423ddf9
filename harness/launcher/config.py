"""The settings that the launcher reads from config.properties; TorchServe reads the file itself."""

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .failure import BadInput

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ENTRY = re.compile(r"((?:\\.|[^\\=:\s])*)\s*[=:]?\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class ModelSettings:
    """One model version of the snapshot: how many workers it must have, and its batch delay in ms."""

    name: str
    version: str
    min_workers: int
    batch_delay_ms: int


@dataclass(frozen=True)
class Config:
    """What config.properties says. The two addresses are URLs on loopback."""

    path: Path
    model_store: Path
    management: str
    metrics: str
    vmargs: tuple[str, ...]
    models: tuple[ModelSettings, ...]


def read(path: Path) -> Config:
    """Read config.properties.

    Raises:
        BadInput: it cannot be read, or the launcher cannot answer for a server with such settings.
    """
    try:
        values = parse(path.read_text("latin-1"))  # as java.util.Properties does
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    try:
        if values.get("disable_token_authorization") != "true":
            # One switch for the whole process, and a new token on every start: a Service in front
            # of several pods could not pass any of them.
            raise BadInput("disable_token_authorization must be true")
        return Config(
            path=path.resolve(),
            model_store=Path(values["model_store"]),
            management=_loopback(values, "management_address", 8081),
            metrics=_loopback(values, "metrics_address", 8082),
            vmargs=tuple(values.get("vmargs", "").split()),
            models=_models(values["model_snapshot"]),
        )
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    except KeyError as error:
        raise BadInput(f"{path}: no {error.args[0]}") from error


def parse(text: str) -> dict[str, str]:
    """The keys and values of a ``java.util.Properties`` text; the last of two equal keys wins."""
    values: dict[str, str] = {}
    lines = iter(re.split(r"\r\n|\n|\r", text))
    for line in lines:
        entry = line.lstrip(" \t\f")
        if entry.startswith(("#", "!")):
            continue
        while re.search(r"(?<!\\)(\\\\)*\\$", entry):  # an odd number of backslashes at its end
            entry = entry[:-1] + next(lines, "").lstrip(" \t\f")
        if entry and (match := _ENTRY.fullmatch(entry)):
            values[_unescape(match[1])] = _unescape(match[2])
    return values


def _unescape(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        found = match[1]
        return chr(int(found[1:], 16)) if len(found) == 5 else _CONTROL.get(found, found)

    return _ESCAPE.sub(plain, text)


def _loopback(values: Mapping[str, str], key: str, port: int) -> str:
    address = values.get(key, f"http://127.0.0.1:{port}")
    url = urlsplit(address)
    try:
        local = url.hostname == "localhost" or ipaddress.ip_address(url.hostname or "").is_loopback
    except ValueError:
        local = False
    if url.scheme != "http" or not local:
        raise BadInput(f"{key}={address}: must be http on loopback; it has no authentication")
    return address


def _models(snapshot: str) -> tuple[ModelSettings, ...]:
    try:
        return tuple(
            ModelSettings(name, version, int(each["minWorkers"]), int(each["maxBatchDelay"]))
            for name, versions in json.loads(snapshot)["models"].items()
            for version, each in versions.items()
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"model_snapshot: {type(error).__name__}: {error}") from error
