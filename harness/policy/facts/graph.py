"""Flux's graph: which Kustomization applies an object, and what is applied before it."""

from collections.abc import Mapping
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

    @cached_property
    def releases(self) -> dict[str, Object]:
        """The HelmReleases by name; they all live in flux-system."""
        return {item.name: item for item in self.environment.of("HelmRelease")}

    def needs(self, name: str) -> list[str]:
        """The names in ``dependsOn``, those that do not exist among them."""
        return _needs(self.kustomizations.get(name))

    def before(self, name: str) -> set[str]:
        """The Kustomizations that are ready before this one is applied."""
        return _before(self.kustomizations, name)

    def releases_before(self, name: str) -> set[str]:
        """The HelmReleases that are ready before this one is installed."""
        return _before(self.releases, name)

    def applier(self, item: Object) -> str:
        """The Kustomization that brings an object; of a release's objects, the release's."""
        owner = item.owner
        if owner.kind == "HelmRelease":
            release = self.environment.find("HelmRelease", owner.name, owner.namespace)
            return release.owner.name if release else ""
        return owner.name


def _needs(item: Object | None) -> list[str]:
    return [text(each, "name") for each in items(item and item.value, "spec", "dependsOn")]


def _before(by_name: Mapping[str, Object], name: str) -> set[str]:
    earlier: set[str] = set()
    waiting = _needs(by_name.get(name))
    while waiting:
        if (each := waiting.pop()) not in earlier:
            earlier.add(each)
            waiting += _needs(by_name.get(each))
    return earlier


def releases_of(environment: Environment, *charts: str) -> list[Object]:
    """The HelmReleases that install one of these charts."""
    return [each for each in environment.of("HelmRelease") if chart(each) in charts]


def chart(release: Object) -> str:
    """The chart that a HelmRelease installs: a name, or a path in this repository."""
    return text(release.value, "spec", "chart", "spec", "chart") or text(
        release.value, "spec", "chartRef", "name"
    )
