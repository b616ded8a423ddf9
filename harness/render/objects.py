"""A rendered object, which knows the source line that each of its fields came from."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from harness.core.errors import Location
from harness.core.values import Key, KeyPath, Value, dig, mapping, text

_HASH = re.compile(r"-[2456789bcdfghkmt]{10}$")


def stem(name: str) -> str:
    """A name without the hash that kustomize appends to what it generates.

    The hash is ten characters of its own alphabet (kustomize: api/hasher/hasher.go).
    """
    return _HASH.sub("", name)


@dataclass(frozen=True, slots=True)
class Owner:
    """The Flux object that applies an object: a Kustomization or a HelmRelease."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Object:
    """One rendered object. ``trace`` finds the source line of a path, when a finding asks."""

    value: Value
    owner: Owner
    trace: Callable[[Value, KeyPath], Location] = field(repr=False, compare=False)

    @cached_property
    def api_version(self) -> str:
        return text(self.value, "apiVersion")

    @cached_property
    def kind(self) -> str:
        return text(self.value, "kind")

    @cached_property
    def namespace(self) -> str:
        """Where it lands; empty for an object of the whole cluster."""
        return text(self.value, "metadata", "namespace")

    @cached_property
    def name(self) -> str:
        return text(self.value, "metadata", "name")

    @cached_property
    def stem(self) -> str:
        """Its name without the hash of its content, which no other environment or commit shares."""
        return stem(self.name)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its content."""
        return hashlib.sha256(json.dumps(self.value, default=str).encode()).hexdigest()

    @property
    def group(self) -> str:
        """The API group; empty for the core one."""
        return self.api_version.rpartition("/")[0]

    @property
    def labels(self) -> Value:
        return mapping(self.value, "metadata", "labels")

    @property
    def annotations(self) -> Value:
        return mapping(self.value, "metadata", "annotations")

    def dig(self, *path: Key) -> object:
        """The value at ``path``, or None if there is none."""
        return dig(self.value, *path)

    def at(self, *path: Key) -> Location:
        """The source line that ``path`` came from, or of the nearest thing around it."""
        return self.trace(self.value, path)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.kind, self.namespace, self.stem)))
