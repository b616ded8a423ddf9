"""The TorchServe of an environment, put together from its rendered objects."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from harness.core.errors import InputError, Location
from harness.core.problem import Problem
from harness.core.values import KeyPath, Value, dig, items, mapping, text
from harness.policy.facts.pods import Container, Pod, pods
from harness.render.objects import Object
from harness.render.rendered import Environment
from harness.snapshot import properties

CONFIG = "config.properties"
FILES = "model-files.json"


_ANNOTATION = re.compile(r"metadata\.annotations\['(.+)'\]")


@dataclass(frozen=True, slots=True)
class File:
    """A text file in a volume: ``path`` leads to the text inside the object that holds it."""

    owner: Object
    path: KeyPath

    @property
    def text(self) -> str:
        return text(self.owner.value, *self.path)


@dataclass(frozen=True)
class Server:
    """A Deployment that mounts a config.properties, and what that file says.

    Attributes:
        mounted: the text files of the volume that holds it, by name; itself among them.
        entries: the file's entries by key; of duplicates the last one, as in the JVM.
    """

    environment: Environment
    pod: Pod
    container: Container
    mounted: Mapping[str, File]
    entries: Mapping[str, properties.Entry]

    @property
    def group(self) -> str:
        """The serving group: what installs it is named so."""
        return self.pod.owner.owner.name

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
        listed = _json(self.mounted[FILES].text) if FILES in self.mounted else None
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
        app = f"apps/torchserve/{self.environment.name}"
        file = f"{app}/{self.group}/{CONFIG}"
        # A pinned commit may be one from before groups.
        path = Path(file if file in self.environment.files else f"{app}/{CONFIG}")
        line = self.entries[key].line if key in self.entries else 1
        return Problem(message, Location(path, line), str(self.mounted[CONFIG].owner))


def servers(environment: Environment) -> Iterator[Server]:
    """Every TorchServe of the environment: one a pod, whatever stands next to it."""
    for subject in pods(environment, "Deployment"):
        server = next(_serving(environment, subject), None)
        if server:
            yield server


def _serving(environment: Environment, subject: Pod) -> Iterator[Server]:
    """The containers of a pod that mount a config.properties: the first one serves."""
    for container in subject.containers:
        for mount in () if container.init else items(container.value, "volumeMounts"):
            _, volume = subject.volume(text(mount, "name")) or (0, {})
            mounted = _files(environment, subject, volume)
            if CONFIG in mounted and (content := mounted[CONFIG].text):
                yield Server(environment, subject, container, mounted, _entries(content))


def _files(environment: Environment, subject: Pod, volume: Value) -> dict[str, File]:
    """The text files of a volume: a ConfigMap's, and those that the pod's own annotations are."""
    name = text(volume, "configMap", "name")
    config = environment.find("ConfigMap", name, subject.owner.namespace) if name else None
    texts = mapping(config.value, "data") if config else {}
    files = {key: File(config, ("data", key)) for key in texts} if config else {}
    for item in items(volume, "downwardAPI", "items"):
        if named := _ANNOTATION.fullmatch(text(item, "fieldRef", "fieldPath")):
            where = (*subject.path, "metadata", "annotations", named[1])
            files[text(item, "path")] = File(subject.owner, where)
    return files


def _json(content: str) -> object:
    with contextlib.suppress(ValueError):
        return json.loads(content)
    return None


@lru_cache(maxsize=16)  # every rule asks, of the same few files
def _entries(content: str) -> dict[str, properties.Entry]:
    try:
        return {entry.key: entry for entry in properties.entries(content)}
    except InputError:
        return {}  # a file that the JVM cannot read has a finding of its own (snapshot/up-to-date)
