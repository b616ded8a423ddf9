"""New charts with old values, and old charts with new values.

Flux's source, ConfigMap and HelmRelease change one after the other: for a moment the chart of one
commit meets the values of the other. Both pairs must render.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import InputError
from harness.core.git import Git
from harness.core.problem import Location, Problem
from harness.core.repository import Repository
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


def cross(renderer: Renderer, new: Environment, commit: str) -> Iterator[Problem]:
    """What does not render when the charts and values of two commits meet."""
    if not new.charts or not (renderer.repository.root / "clusters" / new.name).is_dir():
        return
    old = renderer.at(new.name, commit)
    before = {(request.namespace, request.release): (tree, request) for tree, request in old.charts}
    for tree, request in new.charts:
        if (request.namespace, request.release) not in before:
            continue
        old_tree, old_request = before[request.namespace, request.release]
        pairs = (
            (f"chart of {commit[:12]} with these values", old_tree, request, old_request.chart),
            (f"this chart with the values of {commit[:12]}", tree, old_request, request.chart),
        )
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
