"""Flux's graph: which Kustomization applies an object, and what is applied before it."""

from dataclasses import dataclass
from functools import cached_property

from harness.core.values import items, text
from harness.render.objects import Object
from harness.render.rendered import Environment

KUSTOMIZE = "kustomize.toolkit.fluxcd.io"
SOURCES = ("GitRepository", "OCIRepository", "HelmRepository", "Bucket")
HELM_TIMEOUT = 300  # seconds: helm-controller's own default


@dataclass(frozen=True)
class Graph:
    """The Flux Kustomizations of an environment and their ``dependsOn``."""

    environment: Environment

    @cached_property
    def kustomizations(self) -> dict[str, Object]:
        """By name; they all live in flux-system."""
        return {
            item.name: item
            for item in self.environment.of("Kustomization")
            if item.group == KUSTOMIZE
        }

    def needs(self, name: str) -> list[str]:
        """The names in ``dependsOn``, those that do not exist among them."""
        kustomization = self.kustomizations.get(name)
        return [
            text(each, "name")
            for each in items(kustomization and kustomization.value, "spec", "dependsOn")
        ]

    def before(self, name: str) -> set[str]:
        """The Kustomizations that are ready before this one is applied."""
        earlier: set[str] = set()
        waiting = self.needs(name)
        while waiting:
            if (each := waiting.pop()) not in earlier:
                earlier.add(each)
                waiting += self.needs(each)
        return earlier

    def applier(self, item: Object) -> str:
        """The Kustomization that brings an object; of a release's objects, the release's."""
        owner = item.owner
        if owner.kind == "HelmRelease":
            release = self.environment.find("HelmRelease", owner.name, owner.namespace)
            return release.owner.name if release else ""
        return owner.name


def chart(release: Object) -> str:
    """The chart that a HelmRelease installs: a name, or a path in this repository."""
    return text(release.value, "spec", "chart", "spec", "chart") or text(
        release.value, "spec", "chartRef", "name"
    )
