"""What a render leaves: objects that know where they came from, environment by environment.

for deployment in environment.of("Deployment"):
    print(deployment.at("spec", "template", "spec"), deployment.dig("spec", "replicas"))
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from harness.core.errors import InputError, Location

if TYPE_CHECKING:
    from harness.render.charts import Chart
    from harness.render.helm import Template
    from harness.render.tree import Tree

_HASH = re.compile(r"-[2456789bcdfghkmt]{10}$")

Key = str | int
Value = Mapping[str, object]


def dig(value: object, *path: Key) -> object:
    """The value at ``path`` below ``value``; None where the path ends early."""
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return None
    return value


def mapping(value: object, *path: Key) -> Value:
    """The mapping at ``path``; empty where there is none."""
    found = dig(value, *path)
    return found if isinstance(found, dict) else {}


def items(value: object, *path: Key) -> list[object]:
    """The list at ``path``; empty where there is none."""
    found = dig(value, *path)
    return found if isinstance(found, list) else []


def text(value: object, *path: Key) -> str:
    """The text at ``path``; empty where there is none."""
    found = dig(value, *path)
    return found if isinstance(found, str) else ""


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
    trace: Callable[[Value, tuple[Key, ...]], Location] = field(repr=False, compare=False)

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
        """The value at ``path``; None where there is none."""
        return dig(self.value, *path)

    def at(self, *path: Key) -> Location:
        """The source line that ``path`` came from, or of the nearest thing around it."""
        return self.trace(self.value, path)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.kind, self.namespace, self.stem)))


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A value that a fresh fork lacks: ``UNSET`` in the source, a placeholder in the render."""

    key: str
    location: Location


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that could not be rendered. ``rule`` names the kind of failure."""

    rule: str
    message: str
    location: Location
    object: str


BROKEN = {"render/kustomize", "render/helm", "render/unknown"}
"""Faults after which an environment is not whole."""


class NotReadError(InputError):
    """Flux knows how to read it, the render here does not. ``quoted`` is how it is written."""

    quoted: str = ""


@dataclass(frozen=True)
class Environment:
    """One environment, rendered whole.

    Attributes:
        name: the folder under clusters/.
        variant: ``candidate`` (the working tree), ``live`` (production's folder × the pinned
            commit), or the commit that was rendered.
        objects: everything that Flux and Helm would apply, in their order.
        unfilled: every ``UNSET`` that was replaced by a placeholder.
        faults: what could not be rendered, charts of the network among it.
        charts: what helm was asked to render of this repository's charts.
        published: the charts that come from the network.
        foreign: what those of them make that could be rendered on this machine. Apart from
            ``objects``, so that what is said of our own does not depend on the network.
        files: every file of the repository that was read for it, by its path.
        released: those of them that are read from the commit that it pins.
        chart_digests: SHA-256 of the files of each chart in ``charts``, by its folder. Taken when
            it was rendered: a commit that was laid out for that may be gone afterwards.
    """

    name: str
    variant: str
    objects: tuple[Object, ...]
    unfilled: tuple[Unfilled, ...] = ()
    faults: tuple[Fault, ...] = ()
    charts: "tuple[tuple[Tree, Template], ...]" = ()
    published: "tuple[Chart, ...]" = ()
    foreign: tuple[Object, ...] = ()
    files: tuple[str, ...] = ()
    released: tuple[str, ...] = ()
    chart_digests: tuple[tuple[str, str], ...] = ()

    @property
    def whole(self) -> bool:
        """Whether everything in the repository rendered; charts of the network are apart."""
        return not {fault.rule for fault in self.faults} & BROKEN

    @cached_property
    def _by_kind(self) -> dict[str, list[Object]]:
        found: dict[str, list[Object]] = {}
        for item in self.objects:
            found.setdefault(item.kind, []).append(item)
        return found

    def of(self, *kinds: str) -> Iterator[Object]:
        """The objects of these kinds."""
        for kind in kinds:
            yield from self._by_kind.get(kind, ())

    def find(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """The object of that name; any namespace unless told."""
        for item in self.of(kind):
            if item.name == name and (not namespace or item.namespace == namespace):
                return item
        return None

    def __str__(self) -> str:
        return self.name if self.variant == "candidate" else f"{self.name} ({self.variant})"
