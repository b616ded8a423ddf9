"""The Job that names, or removes, what no release needs on the file system.

It is the chart's sync Job with another program: the same image, account, confinement, claim and
nodes, so that nothing about them is said twice. No Service and no other policy selects its pod.
"""

import json
from collections.abc import Iterable, Mapping

from harness.core.errors import HarnessError
from harness.core.values import Value, dig, items, mapping, text
from harness.render.rendered import Environment

NAME = "torchserve-model-gc"
_SYNC = "torchserve-model-sync"
_COMPONENT = "app.kubernetes.io/component"
_KEEP = "keep.json"
_DEADLINE = 900  # seconds, most of them spent waiting for a sync that holds the store
_AFTERWARDS = 600  # seconds until Kubernetes removes it, should nobody be left to do it


def manifest(environment: Environment, *, remove: bool) -> Value:
    """The Job.

    Args:
        environment: the render of what runs.
        remove: also remove what it names.

    Raises:
        HarnessError: the environment has no sync Job, so nothing here can write to its store.
    """
    sync = environment.find("Job", _SYNC)
    if sync is None:
        raise HarnessError(
            f"{environment.name} has no sync Job, so nothing in the cluster fills its store",
            hint="its store is a folder that somebody else fills: look there",
        )
    labels = {**mapping(sync.value, "metadata", "labels"), _COMPONENT: "model-gc"}
    pod = mapping(sync.value, "spec", "template")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": NAME, "namespace": sync.namespace, "labels": labels},
        "spec": {
            "activeDeadlineSeconds": _DEADLINE,
            "backoffLimit": 0,  # what it has done already, a second run would not report
            "ttlSecondsAfterFinished": _AFTERWARDS,
            "template": {
                "metadata": {
                    "labels": {**mapping(pod, "metadata", "labels"), _COMPONENT: "model-gc"}
                },
                "spec": {
                    **mapping(pod, "spec"),
                    "containers": [_container(mapping(pod, "spec", "containers", 0), remove)],
                    "volumes": [_volume(mapping(each)) for each in items(pod, "spec", "volumes")],
                },
            },
        },
    }


def keep_list(job: Value, names: Iterable[str]) -> Value:
    """The ConfigMap with the names of archives that ``job`` must keep."""
    metadata = {"name": NAME, "namespace": dig(job, "metadata", "namespace")}
    data = {_KEEP: json.dumps(sorted(names))}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _container(sync: Value, remove: bool) -> Value:
    store = next(str(each) for each in items(sync, "args") if str(each).startswith("--store="))
    keep = next(text(each, "mountPath") for each in items(sync, "volumeMounts") if _is_config(each))
    container = {
        **sync,
        "name": "model-gc",
        "command": ["python", "-m", "model_sync.gc"],
        "args": [store, f"--keep={keep}/{_KEEP}", *(["--remove"] if remove else [])],
    }
    container.pop("env", None)  # the region of a bucket that it does not ask
    return container


def _volume(sync: Mapping[str, object]) -> Value:
    return {**sync, "configMap": {"name": NAME}} if _is_config(sync) else sync


def _is_config(value: object) -> bool:
    return text(value, "name") == "config"
