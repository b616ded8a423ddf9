"""What the launcher needs of config.properties; TorchServe reads the file itself."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import BadInput

_CONTINUED = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:\r\n?|\n)[ \t\f]*")
_PAIR = re.compile(r"^[ \t\f]*(?![#!])((?:\\.|[^\\=:\s])+)[ \t\f]*[=:]?[ \t\f]*(.*)$", re.MULTILINE)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


@dataclass(frozen=True)
class Config:
    """Where TorchServe answers (URLs on loopback), and what it shall serve: the workers that each
    model version must have, and the longest time in seconds that a request may wait for a batch.
    """

    path: Path
    model_store: Path
    management: str
    metrics: str
    vmargs: Sequence[str]
    workers: Mapping[tuple[str, str], int]
    batch_delay: float


def read(path: Path) -> Config:
    """Read config.properties, or raise BadInput."""
    try:
        values = parse(path.read_text("latin-1"))  # as java.util.Properties does
        models = json.loads(values["model_snapshot"])["models"]
        flat = {(name, version): each for name in models for version, each in models[name].items()}
        return Config(
            path=path.resolve(),
            model_store=Path(values["model_store"]).resolve(),
            management=values.get("management_address", "http://127.0.0.1:8081"),
            metrics=values.get("metrics_address", "http://127.0.0.1:8082"),
            vmargs=values.get("vmargs", "").split(),
            workers={key: int(each["minWorkers"]) for key, each in flat.items()},
            batch_delay=max((each["maxBatchDelay"] for each in flat.values()), default=0) / 1000,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: {type(error).__name__}: {error}") from error


def parse(text: str) -> dict[str, str]:
    """The keys and values of a ``java.util.Properties`` text."""
    return {_plain(key): _plain(value) for key, value in _PAIR.findall(_CONTINUED.sub(r"\1", text))}


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _CONTROL.get(m[2], m[2]), text)
