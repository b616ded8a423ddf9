"""How long a local cluster takes: its tools cold, from nothing to Ready, from a commit to Ready."""

import statistics
import time
from collections.abc import Callable

from bench import Figure
from harness import programs, tools
from harness.core import repository
from harness.core.repository import Repository
from harness.kubernetes import kinds, reconciliation
from harness.local_cluster import local
from harness.local_cluster.local import LocalCluster

_RUNS = 3
_WAIT = 60.0  # seconds
_PROPERTIES = "apps/torchserve/local/torchserve/config.properties"


def run() -> list[Figure]:
    """Time all of it; the first was taken when the tools were built."""
    repo = repository.find()
    figures = _cold_build(repo)
    fresh, reconciled, alone = [], [], []
    for number in range(_RUNS):
        began = time.monotonic()
        with local.running(repo, "bench") as cluster:
            commit = cluster.take()
            cluster.follow()
            cluster.sync(commit)
            fresh.append(time.monotonic() - began)
            reconciled.append(_commit(cluster, number, cluster.sync))
            alone.append(
                _commit(
                    cluster, _RUNS + number, lambda commit: _wait_without_requests(cluster, commit)
                )
            )
    return [
        *figures,
        _figure("nothing → all of clusters/local Ready", fresh),
        _figure("commit of a changed setting → rolled and Ready", reconciled),
        _figure("the same, nothing asked to look but the sources", alone),
    ]


def _commit(cluster: LocalCluster, number: int, wait: Callable[[str], None]) -> float:
    text = cluster.bare.read(_PROPERTIES)
    changed = text.replace("job_queue_size=", f"job_queue_size={number + 1}")
    commit = cluster.bare.commit({_PROPERTIES: changed}, "A setting")
    began = time.monotonic()
    wait(commit)
    return time.monotonic() - began


def _wait_without_requests(cluster: LocalCluster, commit: str) -> None:
    """Leave the rest to Flux once it has fetched: its last word is the Kustomizations'."""
    reconciliation.request(cluster.api)
    cluster.api.wait_for(
        kinds.KUSTOMIZATION,
        lambda objects: all(
            reconciliation.at(each, commit) for each in filter(reconciliation.active, objects)
        ),
        seconds=_WAIT,
        what=f"every Kustomization to be Ready at {commit[:12]}",
    )


def _cold_build(repo: Repository) -> list[Figure]:
    took = [tools.built_in(repo, name) for name in programs.CLUSTER]
    known = [seconds for seconds in took if seconds is not None]
    if len(known) < len(took):
        return []
    return [Figure("cluster tools, built cold", sum(known), "s")]


def _figure(name: str, seconds: list[float]) -> Figure:
    median = statistics.median(seconds)
    spread = (max(seconds) - min(seconds)) / median
    return Figure(name, round(median, 2), "s", spread=round(spread, 2))
