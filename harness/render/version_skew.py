"""New charts with old values, and old charts with new values.

Flux's source, ConfigMap and HelmRelease change one after the other: for a moment the chart of one
commit meets the values of the other. Both pairs must render. No old chart meets the new values of
a HelmRelease whose ``spec.chart`` changes with them: helm-controller takes no chart of an older
generation.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import InputError
from harness.core.git import Git
from harness.core.problem import Location, Problem
from harness.core.repository import Repository
from harness.render.helm import Template
from harness.render.rendered import Environment
from harness.render.renderer import Renderer

_READ = ("apps", "clusters", "infra")


def previous(repository: Repository) -> str | None:
    """The commit that a merge of this working tree would replace, or None if git does not know.

    Where the working tree has changes it is the commit below them, on a branch the place where it
    left main, on main the commit before. A commit that was laid out has no such place.
    """
    if repository.laid_out_from:
        return None
    git = Git(repository.root)
    head = git.resolve("HEAD")
    if head is None or git.uncommitted_changes(*_READ):
        return head
    base = git.run("merge-base", head, "origin/main", accept=(0, 1, 128))
    return base if base and base != head else git.resolve("HEAD^")


def cross(renderer: Renderer, new: Environment, old: Environment) -> Iterator[Problem]:
    """What does not render when the charts and values of two commits meet."""
    before = {(request.namespace, request.release): (tree, request) for tree, request in old.charts}
    for tree, request in new.charts:
        if (request.namespace, request.release) not in before:
            continue
        old_tree, old_request = before[request.namespace, request.release]
        pairs = [(f"this chart with the values of {old.variant}", tree, old_request, request.chart)]
        if _chart_spec(new, request) == _chart_spec(old, old_request):
            what = f"chart of {old.variant} with these values"
            pairs.append((what, old_tree, request, old_request.chart))
        for what, chart_tree, values, chart in pairs:
            try:
                renderer.template(chart_tree, dataclasses.replace(values, chart=chart))
            except InputError as error:
                yield Problem(
                    f"{what}: {error.message}",
                    Location(Path(request.chart, "values.yaml")),
                    f"HelmRelease/{request.release}",
                    "render/version-skew",
                )


def _chart_spec(environment: Environment, request: Template) -> object:
    """What the HelmRelease behind a request says of its chart."""
    for release in environment.of("HelmRelease"):
        where = (release.dig("spec", "targetNamespace"), release.dig("spec", "releaseName"))
        if where == (request.namespace, request.release):
            return release.dig("spec", "chart")
    return None
