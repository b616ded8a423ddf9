"""Runs a Job to its end with the objects that it needs, and removes all of them."""

import contextlib
from collections.abc import Iterator, Sequence

from harness.core.errors import HarnessError
from harness.core.values import Value, dig, mapping, text
from harness.kubernetes import kinds, reconciliation
from harness.kubernetes.api import Api
from harness.kubernetes.transport import ApiError

_CONFLICT = 409
_MARGIN = 60  # seconds on top of its deadline, for the controller to notice
_TAIL = 2_000  # characters of its log that an error shows


def run(cluster: Api, job: Value, companions: Sequence[Value] = ()) -> str:
    """Create a Job and what it needs, wait for its end, remove all of it.

    Args:
        cluster: where.
        job: with ``activeDeadlineSeconds``; its ``companions`` are deleted with it.
        companions: objects that its pod needs, such as a ConfigMap.

    Returns:
        What its pod has written.

    Raises:
        HarnessError: one of that name already exists, it failed, or did not end in time.
    """
    name, namespace = text(job, "metadata", "name"), text(job, "metadata", "namespace")
    try:
        created = cluster.create(job)
    except ApiError as error:
        if error.status != _CONFLICT:
            raise
        hint = f"kubectl -n {namespace} get job {name}; delete it if it is not in use"
        raise HarnessError(f"Job {namespace}/{name} already exists", hint=hint) from error
    try:
        for each in companions:
            cluster.create(_with_owner(each, created))
        ended = cluster.wait_for(
            kinds.JOB,
            lambda jobs: _finished_job(jobs, name),
            seconds=_deadline(job),
            namespace=namespace,
            what=f"Job {namespace}/{name} to end",
        )
        return _output(cluster, ended)
    finally:
        cluster.delete(kinds.JOB, name, namespace)


def _with_owner(value: Value, owner: Value) -> Value:
    """An object that Kubernetes removes with its owner, even if we are killed."""
    metadata = mapping(owner, "metadata")
    reference = {
        "apiVersion": text(owner, "apiVersion"),
        "kind": text(owner, "kind"),
        "name": text(metadata, "name"),
        "uid": text(metadata, "uid"),
    }
    return {**value, "metadata": {**mapping(value, "metadata"), "ownerReferences": [reference]}}


def _deadline(job: Value) -> float:
    seconds = dig(job, "spec", "activeDeadlineSeconds")
    return (seconds if isinstance(seconds, int) else 0) + _MARGIN


def _finished_job(jobs: Sequence[Value], name: str) -> Value | None:
    for job in jobs:
        statuses = [
            text(reconciliation.condition(job, kind), "status") for kind in ("Complete", "Failed")
        ]
        if text(job, "metadata", "name") == name and "True" in statuses:
            return job
    return None


def _output(cluster: Api, job: Value) -> str:
    name, namespace = text(job, "metadata", "name"), text(job, "metadata", "namespace")
    failed = reconciliation.condition(job, "Failed")
    pods = cluster.list_all(kinds.POD, namespace, f"batch.kubernetes.io/job-name={name}")
    names = [text(pod, "metadata", "name") for pod in pods]
    if text(failed, "status") != "True":
        return "".join(cluster.log(pod, namespace) for pod in names)
    why = [*_log_tails(cluster, names, namespace), *_warnings(cluster, name, namespace)]
    reason = f"Job {namespace}/{name} failed: {text(failed, 'reason')}"
    raise HarnessError("\n".join([reason, *(f"  {line}" for line in why)]))


def _log_tails(cluster: Api, pods: Sequence[str], namespace: str) -> Iterator[str]:
    for pod in pods:
        with contextlib.suppress(ApiError):  # its container never started
            yield from cluster.log(pod, namespace)[-_TAIL:].splitlines()


def _warnings(cluster: Api, name: str, namespace: str) -> Iterator[str]:
    """What the scheduler and the kubelet complained about: a pod past its deadline is gone."""
    for event in cluster.list_all(kinds.EVENT, namespace):
        about = text(event, "involvedObject", "name")
        if text(event, "type") == "Warning" and about.startswith(name):
            yield f"{text(event, 'reason')}: {text(event, 'message')}"[:_TAIL]
