"""The TorchServe of an environment, put together from its rendered objects."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from harness.core.errors import InputError, Location
from harness.policy.finding import Problem
from harness.policy.pods import Container, Pod, pods
from harness.render.objects import Environment, Object, Value, dig, items, mapping, text
from harness.snapshot import properties

CONFIG = "config.properties"
FILES = "model-files.json"


@dataclass(frozen=True)
class Server:
    """A Deployment that mounts a config.properties, and what that file says.

    Attributes:
        config: the ConfigMap that holds the file.
        entries: the file's entries by key; a key that stands twice has its last one, as in the JVM.
    """

    environment: Environment
    pod: Pod
    container: Container
    config: Object
    entries: Mapping[str, properties.Entry]

    def setting(self, key: str) -> str:
        """The value of a key; empty where the file has none."""
        return self.entries[key].value if key in self.entries else ""

    def address(self, key: str) -> tuple[str, int | None]:
        """Host and port of an address such as ``http://127.0.0.1:8081``."""
        with contextlib.suppress(ValueError):
            parts = urlsplit(self.setting(key))
            return parts.hostname or "", parts.port
        return "", None

    @property
    def files(self) -> list[Value]:
        """The archives that the launcher is given: name, sha256 and size of each."""
        listed = _json(text(self.config.value, "data", FILES))
        return [mapping(entry) for entry in items({"files": listed}, "files")]

    @property
    def models(self) -> dict[str, Value]:
        """What the model snapshot says of each model, by ``name/version``."""
        models = mapping(_json(self.setting("model_snapshot")), "models")
        return {
            f"{name}/{version}": mapping(settings)
            for name, versions in models.items()
            for version, settings in mapping(versions).items()
        }

    def longest(self, timeout: str) -> int:
        """The longest ``responseTimeout`` or ``startupTimeout`` of its models, in seconds."""
        values = [dig(model, timeout) for model in self.models.values()]
        # 120: what TorchServe takes where a snapshot names none
        return max((value if isinstance(value, int) else 120 for value in values), default=0)

    def problem(self, message: str, key: str) -> Problem:
        """A problem of a key of config.properties, at its line in the generated file."""
        path = Path("apps/torchserve", self.environment.name, CONFIG)
        line = self.entries[key].line if key in self.entries else 1
        return Problem(message, Location(path, line), str(self.config))


def servers(environment: Environment) -> Iterator[Server]:
    """Every TorchServe of the environment."""
    for config in environment.of("ConfigMap"):
        content = text(config.value, "data", CONFIG)
        for pod in pods(environment, "Deployment") if content else ():
            if pod.owner.namespace == config.namespace:
                for container in _mounting(pod, config.name):
                    yield Server(environment, pod, container, config, _entries(content))


def _mounting(pod: Pod, config: str) -> Iterator[Container]:
    volumes = {
        text(volume, "name")
        for volume in items(pod.spec, "volumes")
        if text(volume, "configMap", "name") == config
    }
    for container in pod.containers:
        mounted = {text(mount, "name") for mount in items(container.value, "volumeMounts")}
        if mounted & volumes and not container.init:
            yield container


def _json(content: str) -> object:
    with contextlib.suppress(ValueError):
        return json.loads(content)
    return None


@lru_cache(maxsize=16)  # every rule asks, of the same few files
def _entries(content: str) -> dict[str, properties.Entry]:
    try:
        return {entry.key: entry for entry in properties.entries(content)}
    except InputError:
        return {}  # a file that the JVM cannot read has a finding of its own (snapshot/stale)
