"""What a render leaves: an environment's objects, and what could not be rendered.

for deployment in environment.of("Deployment"):
    print(deployment.at("spec", "template", "spec"), deployment.dig("spec", "replicas"))
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from harness.core.errors import InputError
from harness.core.problem import Location, Problem
from harness.render.helm import Template
from harness.render.objects import Object
from harness.render.remote_charts import Chart
from harness.render.tree import Tree


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A value that a fresh fork lacks: ``UNSET`` in the source, a placeholder in the render."""

    key: str
    location: Location


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
    faults: tuple[Problem, ...] = ()
    charts: tuple[tuple[Tree, Template], ...] = ()
    published: tuple[Chart, ...] = ()
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
