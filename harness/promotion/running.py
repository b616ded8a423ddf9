"""What a cluster runs, and since when: from the histories that Flux keeps in its own objects.

Whoever promotes need not reach the cluster: one process reads it and writes a file, another reads
the file.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from harness.core import files
from harness.core.errors import HarnessError, InputError
from harness.core.refusal import first_refusal
from harness.core.repository import Repository
from harness.core.values import items, text
from harness.kubernetes import kinds, reconciliation, status
from harness.kubernetes.api import Api
from harness.kubernetes.monitoring import prometheus
from harness.promotion import disturbances, live_health
from harness.promotion.disturbances import Disturbance
from harness.promotion.live_health import Health
from harness.settings.gates import Gates

_SITE = "site"


@dataclass(frozen=True, slots=True)
class Running:
    """A cluster as it was at one moment.

    Attributes:
        environment: by its ConfigMap ``site``.
        now: the moment, by the API server's clock.
        read_at: the same moment, by the clock of the machine that read it.
        commit: of the release that it runs.
        unready: what is not Ready, a line each.
        since: from when on everything that Flux applies has been what it is now.
        disturbances: what failed since and recovered by itself, the newest first; None in a file
            of an older harness, which did not record it.
        health: what Prometheus says of it; None if it was not asked.
    """

    environment: str
    now: datetime.datetime
    read_at: Annotated[datetime.datetime, Field(alias="asked")]
    commit: str
    unready: tuple[str, ...]
    since: datetime.datetime
    disturbances: tuple[Disturbance, ...] | None = None
    health: Health | None = None

    @property
    def steady_since(self) -> datetime.datetime:
        """From when on nothing has changed and nothing has failed, as far as recorded."""
        return max([self.since, *(each.at for each in self.disturbances or ())])


_ADAPTER = TypeAdapter(Running)


def observe(cluster: Api, repository: Repository, gates: Gates | None = None) -> Running:
    """Read a cluster's state, and what else the gates of a promotion from it ask for.

    Raises:
        HarnessError: it does not answer, or Flux has applied no release in it.
    """
    screen = status.collect(cluster, repository)
    now, read_at = cluster.now(), datetime.datetime.now(datetime.UTC)
    if not screen.release:
        raise HarnessError("the cluster runs no release", hint="harness status says why")
    site = cluster.get(kinds.CONFIG_MAP, _SITE, kinds.FLUX_NAMESPACE)
    broken = [row for row in screen.rows if row.state not in ("ready", "suspended")]
    since = max(_change_times(cluster), default=now)
    return Running(
        environment=text(site, "data", "ENVIRONMENT"),
        now=now,
        read_at=read_at,
        commit=screen.release,
        unready=tuple(f"{row.kind}/{row.name}: {row.why}" for row in broken),
        since=since,
        disturbances=tuple(each for each in disturbances.observe(cluster) if each.at > since),
        health=live_health.observe(prometheus(cluster)) if gates and gates.live_health else None,
    )


def write(running: Running, path: Path) -> None:
    """Write a state to a file."""
    files.write(path, _ADAPTER.dump_json(running, indent=2, by_alias=True) + b"\n")


def read(path: Path) -> Running:
    """Read a state from a file.

    Raises:
        InputError: it is not what ``write`` writes.
    """
    text = b""
    try:
        text = path.read_bytes()
        return _ADAPTER.validate_json(text)
    except (OSError, ValidationError) as error:
        first = first_refusal(error, text, Running)
        raise InputError(f"not what `harness release observe` writes: {first}", at=path) from error


def _change_times(cluster: Api) -> Iterator[datetime.datetime]:
    """When each object of Flux last applied something else than now."""
    for kustomization in filter(reconciliation.active, cluster.list_all(kinds.KUSTOMIZATION)):
        yield from _changes(items(kustomization, "status", "history"))
    for release in filter(reconciliation.active, cluster.list_all(kinds.HELM_RELEASE)):
        if deployed := text(release, "status", "history", 0, "lastDeployed"):
            yield datetime.datetime.fromisoformat(deployed)
    # A Helm release under a canary is deployed before its pods serve.
    for canary in status.list_if_served(cluster, kinds.CANARY):
        if changed := text(canary, "status", "lastTransitionTime"):
            yield datetime.datetime.fromisoformat(changed)


def _changes(history: list[object]) -> Iterator[datetime.datetime]:
    """When the newest entry of a Kustomization's history, the first, became the only one.

    An entry is one digest with one outcome, and comes to the front when it occurs again
    (fluxcd/pkg/apis/meta, History.Upsert): the entries behind it occurred in between.
    """
    if history:
        yield datetime.datetime.fromisoformat(text(history[0], "firstReconciled"))
    for other in history[1:]:
        yield datetime.datetime.fromisoformat(text(other, "lastReconciled"))
