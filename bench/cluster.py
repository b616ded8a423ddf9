"""How long a local cluster takes: its tools cold, from nothing to Ready, from a commit to Ready."""

import statistics
import time

from bench import Figure
from harness import tools
from harness.cluster import local
from harness.cluster.local import LocalCluster
from harness.core import repository
from harness.core.repository import Repository

_RUNS = 3
_PROPERTIES = "apps/torchserve/local/config.properties"


def run() -> list[Figure]:
    """Time all three; the first was taken when the tools were built."""
    here = repository.find()
    figures = _cold_build(here)
    fresh, commits = [], []
    for number in range(_RUNS):
        began = time.monotonic()
        with local.running(here, "bench") as cluster:
            commit = cluster.take()
            cluster.follow()
            cluster.sync(commit)
            fresh.append(time.monotonic() - began)
            commits.append(_commit(cluster, number))
    return [
        *figures,
        _figure("nothing → all of clusters/local Ready", fresh),
        _figure("commit of a changed setting → rolled and Ready", commits),
    ]


def _commit(cluster: LocalCluster, number: int) -> float:
    text = cluster.bare.read(_PROPERTIES)
    changed = text.replace("job_queue_size=", f"job_queue_size={number + 1}")
    commit = cluster.bare.commit({_PROPERTIES: changed}, "A setting")
    began = time.monotonic()
    cluster.sync(commit)
    return time.monotonic() - began


def _cold_build(here: Repository) -> list[Figure]:
    took = [tools.built_in(here, name) for name in tools.CLUSTER]
    known = [seconds for seconds in took if seconds is not None]
    if len(known) < len(took):
        return []
    return [Figure("cluster tools, built cold", sum(known), "s")]


def _figure(name: str, seconds: list[float]) -> Figure:
    median = statistics.median(seconds)
    spread = (max(seconds) - min(seconds)) / median
    return Figure(name, round(median, 2), "s", spread=round(spread, 2))
