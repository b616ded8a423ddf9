"""What the launcher needs of config.properties; TorchServe reads the file itself."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import BadInput
from .histogram import BOUNDS

_CONTINUED = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:\r\n?|\n)[ \t\f]*")
_PAIR = re.compile(r"^[ \t\f]*(?![#!])((?:\\.|[^\\=:\s])+)[ \t\f]*[=:]?[ \t\f]*(.*)$", re.MULTILINE)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


@dataclass(frozen=True)
class Config:
    """Where TorchServe answers (URLs on loopback; ``http_port`` is None where that is a Unix
    socket), and what it shall serve, by name and version. ``batch_delay`` is the longest time in
    seconds that a request may wait for a batch; ``gpus`` are those that it must have;
    ``latency_bounds`` are of the histograms, in seconds.
    """

    path: Path
    model_store: Path
    inference: str
    http_port: int | None
    grpc_port: int
    management: str
    metrics: str
    vmargs: Sequence[str]
    models: Mapping[tuple[str, str], "ModelConfig"]
    batch_delay: float
    gpus: int
    latency_bounds: Sequence[float]


@dataclass(frozen=True)
class ModelConfig:
    """A model version: its archive in the model store, the workers that it must have, and how many
    requests a worker is given at once.
    """

    archive: str
    workers: int
    batch_size: int


def read(path: Path) -> Config:
    """Read config.properties, or raise BadInput."""
    try:
        values = parse(path.read_text("latin-1"))  # as java.util.Properties does
        models = json.loads(values["model_snapshot"])["models"]
        flat = {(name, version): each for name in models for version, each in models[name].items()}
        bounds = values.get("launcher_latency_bounds", "").split()
        inference = urlsplit(values.get("inference_address", "http://127.0.0.1:8080"))
        return Config(
            path=path.resolve(),
            model_store=Path(values["model_store"]).resolve(),
            # What listens on all addresses is reached on loopback.
            inference=f"{inference.scheme}://127.0.0.1:{inference.port}",
            http_port=inference.port,
            grpc_port=int(values.get("grpc_inference_port", "7070")),
            management=values.get("management_address", "http://127.0.0.1:8081"),
            metrics=values.get("metrics_address", "http://127.0.0.1:8082"),
            vmargs=values.get("vmargs", "").split(),
            models={key: _model(each) for key, each in flat.items()},
            batch_delay=max((each["maxBatchDelay"] for each in flat.values()), default=0) / 1000,
            gpus=int(values.get("number_of_gpu", "0")),
            # A key of ours, which TorchServe passes over: bounds in addition to the usual ones.
            latency_bounds=sorted({*BOUNDS, *map(float, bounds)}),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: {type(error).__name__}: {error}") from error


def _model(entry: Mapping[str, Any]) -> ModelConfig:
    return ModelConfig(str(entry["marName"]), int(entry["minWorkers"]), int(entry["batchSize"]))


def parse(text: str) -> dict[str, str]:
    """The keys and values of a ``java.util.Properties`` text."""
    return {_plain(key): _plain(value) for key, value in _PAIR.findall(_CONTINUED.sub(r"\1", text))}


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _CONTROL.get(m[2], m[2]), text)
