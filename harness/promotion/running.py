"""What a cluster runs, and since when: from the histories that Flux keeps in its own objects."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from harness.cluster import flux, kinds, status, synced
from harness.cluster.api import Api
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.render.objects import items, text

_SITE = "site"


@dataclass(frozen=True, slots=True)
class Running:
    """A cluster as it was at one moment.

    Attributes:
        environment: as its ConfigMap ``site`` says.
        now: the moment, by the API server's clock.
        commit: of the release that it runs.
        unready: what is not Ready, a line each.
        since: from when on everything that Flux applies there has been what it is now.
    """

    environment: str
    now: datetime.datetime
    commit: str
    unready: tuple[str, ...]
    since: datetime.datetime


def look(cluster: Api, repository: Repository) -> Running:
    """Ask a cluster.

    Raises:
        HarnessError: it does not answer, or has no Flux that has applied a release.
    """
    screen = status.look(cluster, repository)
    now = cluster.now()
    if not screen.release:
        raise HarnessError("the cluster runs no release", hint="harness status says why")
    site = cluster.get(kinds.CONFIG_MAP, _SITE, flux.NAMESPACE)
    broken = [row for row in screen.rows if row.state not in ("ready", "suspended")]
    return Running(
        environment=text(site, "data", "ENVIRONMENT"),
        now=now,
        commit=screen.release,
        unready=tuple(f"{row.kind}/{row.name}: {row.why}" for row in broken),
        since=max(_changed(cluster), default=now),
    )


def _changed(cluster: Api) -> Iterator[datetime.datetime]:
    """When each object of Flux last applied something else than now."""
    for kustomization in filter(synced.active, cluster.every(kinds.KUSTOMIZATION)):
        yield from _settled(items(kustomization, "status", "history"))
    for release in filter(synced.active, cluster.every(kinds.HELM_RELEASE)):
        if deployed := text(release, "status", "history", 0, "lastDeployed"):
            yield datetime.datetime.fromisoformat(deployed)


def _settled(history: list[object]) -> Iterator[datetime.datetime]:
    """From when on the first entry of a Kustomization's history, the newest, was the only one.

    An entry is one digest with one outcome, and comes to the front when it is seen again
    (fluxcd/pkg/apis/meta, History.Upsert): what lies behind it was seen in between.
    """
    if history:
        yield datetime.datetime.fromisoformat(text(history[0], "firstReconciled"))
    for other in history[1:]:
        yield datetime.datetime.fromisoformat(text(other, "lastReconciled"))
