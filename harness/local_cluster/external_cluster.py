"""An external cluster: its API server and controllers, with our nodes and our Flux.

It must not have any of the objects that we install. Its own nodes take no pods meanwhile, and it is
restored afterwards; leftovers of a killed run are removed before the next one begins.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.values import Value, mapping, text
from harness.kubernetes import kinds
from harness.kubernetes.api import Api, Kind
from harness.local_cluster import install

_MARK = "harness.local/lent"  # also on clusters that an earlier release left behind
_SERVED = (kinds.NAMESPACE, "torchserve")
_OWNED = ("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name")
_FLUX = "toolkit.fluxcd.io/"
_GONE = 120.0  # seconds for what was removed to be gone; 10 on a quiet machine


@contextlib.contextmanager
def reserve(cluster: Api, folder: Path) -> Iterator[None]:
    """Reserve a cluster while the block runs.

    Args:
        cluster: the external one.
        folder: of the local cluster that has it for its control plane.

    Raises:
        HarnessError: it is not empty.
    """
    installed = install.installed_objects(folder)
    namespace = cluster.get(kinds.NAMESPACE, kinds.FLUX_NAMESPACE)
    if namespace and text(namespace, "metadata", "labels", _MARK):
        _restore(cluster, installed)
    for kind, name in (*installed, _SERVED):
        if cluster.get(kind, name):
            raise HarnessError(
                f"{kind.name}/{name} already exists in the cluster",
                hint="use an empty cluster, such as a fresh one of kind",
            )
    marked: Value = {"name": kinds.FLUX_NAMESPACE, "labels": {_MARK: "true"}}
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": marked})
    try:
        for node in cluster.list_all(kinds.NODE):
            if not mapping(node, "spec").get("unschedulable"):
                _cordon(cluster, node, closed=True)
        yield
    finally:
        _restore(cluster, installed)


def _restore(cluster: Api, installed: list[tuple[Kind, str]]) -> None:
    """Remove what we installed and what Flux created from it, once our controllers have ended."""
    removed = set(_delete_flux_objects(cluster))
    for kind, name in (*installed, _SERVED):
        cluster.delete(kind, name)
        removed.add((kind, name, ""))
    nodes = {name for kind, name in installed if kind == kinds.NODE}

    def no_pods_left(pods: list[Value]) -> bool:
        remaining = [pod for pod in pods if text(pod, "spec", "nodeName") in nodes]
        for pod in remaining:  # no kubelet reports that they have ended
            cluster.delete(kinds.POD, *_key(pod), seconds=0)
        return not remaining

    cluster.wait_for(
        kinds.POD, no_pods_left, seconds=_GONE, what="every pod on a local node to end"
    )
    cluster.wait_until_gone(removed, seconds=_GONE)
    for node in cluster.list_all(kinds.NODE):
        if text(node, "metadata", "annotations", _MARK):
            _cordon(cluster, node, closed=False)


def _delete_flux_objects(cluster: Api) -> Iterator[tuple[Kind, str, str]]:
    """Delete Flux's own objects, then all that bears its labels; of the latter, what they were."""
    served_kinds = cluster.kinds()
    for kind in (each for each in served_kinds if _FLUX in each.api_version):
        for value in cluster.list_all(kind):
            name, namespace = _key(value)
            cluster.patch(kind, name, {"metadata": {"finalizers": None}}, namespace)
            cluster.delete(kind, name, namespace)
    for kind in served_kinds:
        for value in (each for label in _OWNED for each in cluster.list_all(kind, labels=label)):
            name, namespace = _key(value)
            cluster.delete(kind, name, namespace)
            yield kind, name, namespace


def _cordon(cluster: Api, node: Value, *, closed: bool) -> None:
    """Cordon or uncordon a node."""
    value = "true" if closed else None
    change: Value = {
        "metadata": {"annotations": {_MARK: value}},
        "spec": {"unschedulable": closed or None},
    }
    cluster.patch(kinds.NODE, text(node, "metadata", "name"), change)


def _key(value: Value) -> tuple[str, str]:
    return text(value, "metadata", "name"), text(value, "metadata", "namespace")
