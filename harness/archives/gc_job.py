"""The Job that lists, or removes, what no release needs on the file system.

It is the chart's sync Job with another program: the same image, account, confinement, claim and
nodes, which are therefore defined once. No Service and no other policy selects its pod.
"""

import json
from collections.abc import Iterable, Mapping

from harness.archives import job_manifest
from harness.core.errors import HarnessError
from harness.core.values import Value, dig, items, mapping, merge, text
from harness.render.rendered import Environment

NAME = "torchserve-model-gc"
_FILE = "gc_job.yaml"
_KEEP, _GROUPS = "keep.json", "groups.json"


def manifest(environment: Environment, *, remove: bool) -> Value:
    """Return the Job.

    Args:
        environment: the render of what runs.
        remove: also remove what it lists.

    Raises:
        HarnessError: the environment has no sync Job, so nothing here can write to its store.
    """
    sync = job_manifest.sync_job(environment)
    if sync is None:
        raise HarnessError(
            f"{environment.name} has no sync Job, so nothing in the cluster fills its store",
            hint="its store is a folder that is filled by other means: look there",
        )
    [manifest] = job_manifest.load(_FILE)
    template = mapping(sync.value, "spec", "template")
    pod = mapping(template, "spec")
    base = mapping(manifest, "spec", "template", "spec", "containers", 0)
    spec = {
        **pod,
        "containers": [_container(base, mapping(pod, "containers", 0), remove=remove)],
        "volumes": [_volume(mapping(volume)) for volume in items(pod, "volumes")],
    }
    labels = mapping(template, "metadata", "labels")
    shared = {
        "metadata": {
            "namespace": sync.namespace,
            "labels": mapping(sync.value, "metadata", "labels"),
        },
        "spec": {"template": {"metadata": {"labels": labels}}},
    }
    completed = merge(shared, manifest)
    return merge(completed, {"spec": {"template": {"spec": spec}}})


def lists(job: Value, archives: Iterable[str], groups: Iterable[str]) -> Value:
    """Return the ConfigMap with the archives that ``job`` must keep, and the groups there are."""
    metadata = {"name": NAME, "namespace": dig(job, "metadata", "namespace")}
    data = {_KEEP: json.dumps(sorted(archives)), _GROUPS: json.dumps(sorted(groups))}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _container(base: Value, sync: Value, *, remove: bool) -> Value:
    store = next(str(each) for each in items(sync, "args") if str(each).startswith("--store="))
    at = next(text(each, "mountPath") for each in items(sync, "volumeMounts") if _is_config(each))
    args = [store, f"--keep={at}/{_KEEP}", f"--groups={at}/{_GROUPS}"]
    container = {**sync, **base, "args": [*args, *(["--remove"] if remove else [])]}
    container.pop("env", None)  # a bucket's region and a group, which it has nothing to do with
    return container


def _volume(sync: Mapping[str, object]) -> Value:
    return {**sync, "configMap": {"name": NAME}} if _is_config(sync) else sync


def _is_config(value: object) -> bool:
    return text(value, "name") == "config"
