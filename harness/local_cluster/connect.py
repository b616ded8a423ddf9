"""Connects to the cluster of an environment, after checking that it is the right one."""

from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.core.values import text
from harness.kubernetes import api, kinds
from harness.kubernetes.api import Api
from harness.local_cluster import local


def connect(repository: Repository, env: str, context: str | None = None) -> Api:
    """The cluster of an environment.

    Args:
        checkout: where ``make cluster`` may have started one.
        env: the environment.
        context: of KUBECONFIG; else the local cluster of ``env``, else the current context.

    Raises:
        HarnessError: there is none, or it is another environment's.
    """
    running = None if context else local.find(repository, env)
    cluster = require_alive(running).api if running else api.connect(context=context)
    confirm(cluster, env)
    return cluster


def require_alive(cluster: local.LocalCluster) -> local.LocalCluster:
    """A local cluster that runs.

    Raises:
        HarnessError: it has ended.
    """
    if not cluster.alive:
        raise HarnessError(f"the local cluster {cluster.name} has ended", hint="make cluster")
    return cluster


def confirm(cluster: Api, env: str) -> None:
    """Check that the cluster itself reports to be the environment's.

    Raises:
        HarnessError: it is another environment's, or has none.
    """
    site = cluster.get(kinds.CONFIG_MAP, "site", kinds.FLUX_NAMESPACE)
    actual = text(site, "data", "ENVIRONMENT")
    if actual != env:
        raise HarnessError(
            f"this is the cluster of {actual}, not of {env}"
            if actual
            else "nothing of this repository runs here: there is no ConfigMap flux-system/site",
            hint="--context NAME, one of: kubectl config get-contexts",
        )
