"""What a render leaves: an environment's objects, and what could not be rendered.

for deployment in environment.of("Deployment"):
    print(deployment.at("spec", "template", "spec"), deployment.dig("spec", "replicas"))
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from harness.core.errors import InputError
from harness.core.problem import Location, Problem
from harness.image_sets import Installed
from harness.render.helm import Template
from harness.render.objects import Object
from harness.render.remote_charts import RemoteChart
from harness.render.tree import Tree


@dataclass(frozen=True, slots=True)
class UnsetValue:
    """A value that a fresh fork lacks: ``UNSET`` in the source, a placeholder in the render."""

    key: str
    location: Location


FATAL_FAULTS = {"render/kustomize", "render/helm", "render/unknown"}
"""Faults after which an environment is incomplete."""


class UnsupportedError(InputError):
    """Flux supports it, this renderer does not. ``quoted`` is the text in the source."""

    quoted: str = ""


@dataclass(frozen=True)
class Environment:
    """One environment, rendered.

    Attributes:
        name: the folder under clusters/.
        variant: ``candidate`` (the working tree), ``live`` (production's folder × the pinned
            commit), or the commit that was rendered.
        objects: everything that Flux and Helm would apply, in their order.
        unset: every ``UNSET`` that was replaced by a placeholder.
        faults: what could not be rendered, remote charts included.
        charts: what helm was asked to render of this repository's charts.
        remote_charts: the charts that helm fetches from elsewhere.
        third_party: the objects of the remote charts that were fetched to this machine. Apart from
            ``objects``, so that findings about our own do not depend on the network.
        files: every file of the repository that was read for it, by its path.
        released: those of them that are read from the commit that it pins.
        installed: the packages of its groups' images.
        chart_digests: SHA-256 of the files of each chart in ``charts``, by its folder. Taken when
            it was rendered: a commit that was laid out for that may be gone afterwards.
    """

    name: str
    variant: str
    objects: tuple[Object, ...]
    unset: tuple[UnsetValue, ...] = ()
    faults: tuple[Problem, ...] = ()
    charts: tuple[tuple[Tree, Template], ...] = ()
    remote_charts: tuple[RemoteChart, ...] = ()
    third_party: tuple[Object, ...] = ()
    files: tuple[str, ...] = ()
    released: tuple[str, ...] = ()
    chart_digests: tuple[tuple[str, str], ...] = ()
    installed: Installed = field(default_factory=Installed)

    @property
    def is_complete(self) -> bool:
        """Whether everything in the repository rendered; remote charts do not count."""
        return not {fault.rule for fault in self.faults} & FATAL_FAULTS

    def is_of_chart(self, location: Location) -> bool:
        """Whether a place is in a chart of this repository: a default, or a template."""
        return any(location.path.is_relative_to(chart.chart) for _, chart in self.charts)

    @cached_property
    def _by_kind(self) -> dict[str, list[Object]]:
        by_kind: dict[str, list[Object]] = {}
        for item in self.objects:
            by_kind.setdefault(item.kind, []).append(item)
        return by_kind

    def of(self, *kinds: str) -> Iterator[Object]:
        """The objects of these kinds."""
        for kind in kinds:
            yield from self._by_kind.get(kind, ())

    def find(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """The object of that name; by default in any namespace."""
        for item in self.of(kind):
            if item.name == name and (not namespace or item.namespace == namespace):
                return item
        return None

    def __str__(self) -> str:
        return self.name if self.variant == "candidate" else f"{self.name} ({self.variant})"
