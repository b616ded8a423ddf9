"""What failed in a cluster and recovered by itself, which Flux's own histories do not record.

A server that is killed each hour is Ready nearly whenever it is read, and never changes. What an
API server still knows of it is read here: containers that were restarted, pods that failed or
were not Ready in between, Deployments that were short of pods. Namespaces of Kubernetes itself
(``kube-…``) are left out, since no release brings them; so are the pods of Jobs, which may try
again.

A pod that is younger than the time in question is not a disturbance: a node may have been
drained. Nor does an API server remember a pod that was deleted.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.values import Value, dig, items, text
from harness.kubernetes import kinds, reconciliation
from harness.kubernetes.api import Api

_SYSTEM = "kube-"
_SLACK = datetime.timedelta(minutes=2)  # from a started container to a pod that is Ready
_PERIOD, _TRIES = 10, 3  # seconds, and failures: a probe's defaults (Kubernetes API, Probe)


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One failure: of what, why, and when it was over."""

    subject: str
    why: str
    at: datetime.datetime

    def __str__(self) -> str:
        return f"{self.subject} {self.why}, {self.at:%Y-%m-%d %H:%M} UTC"


def observe(cluster: Api) -> tuple[Disturbance, ...]:
    """The last disturbance of each container, pod and Deployment, the newest first.

    Raises:
        ApiError: the cluster refuses to list them.
    """
    disturbances = [
        each for pod in _own_objects(cluster.list_all(kinds.POD)) for each in _of_pod(pod)
    ]
    for deployment in _own_objects(cluster.list_all(kinds.DEPLOYMENT)):
        disturbances += _of_deployment(deployment)
    return tuple(sorted(disturbances, key=lambda each: each.at, reverse=True))


def _own_objects(objects: list[Value]) -> Iterator[Value]:
    for each in objects:
        system = text(each, "metadata", "namespace").startswith(_SYSTEM)
        job = text(each, "metadata", "ownerReferences", 0, "kind") == "Job"
        if not (system or job or dig(each, "metadata", "deletionTimestamp")):
            yield each


def _of_pod(pod: Value) -> Iterator[Disturbance]:
    name = _name("Pod", pod)
    if text(pod, "status", "phase") == "Failed":
        reason = text(pod, "status", "reason") or "failed"
        yield Disturbance(name, f"ended: {reason}", _end(pod))
        return
    for kind in ("containerStatuses", "initContainerStatuses"):
        for container in items(pod, "status", kind):
            yield from _restart(name, container)
    yield from _interruption(name, pod)


def _restart(pod: str, container: object) -> Iterator[Disturbance]:
    """The last restart of a container."""
    count = dig(container, "restartCount")
    last = dig(container, "lastState", "terminated")
    when = text(last, "finishedAt") or text(container, "state", "running", "startedAt")
    if not count or not when:
        return
    code = dig(last, "exitCode")
    reason = text(last, "reason") or "unknown"
    why = f"was restarted {count} times, the last: {reason}" + (
        f" (exit code {code})" if code is not None else ""
    )
    yield Disturbance(f"{pod}, container {text(container, 'name')},", why, _moment(when))


def _interruption(name: str, pod: Value) -> Iterator[Disturbance]:
    """A pod that got Ready later than it can for the first time: in between it was not."""
    ready = reconciliation.condition(pod, "Ready")
    since, began = text(ready, "lastTransitionTime"), text(pod, "status", "startTime")
    started = [
        text(each, "state", "running", "startedAt")
        for each in items(pod, "status", "containerStatuses")
    ]
    if text(ready, "status") != "True" or not since or not began:
        return
    first = max(map(_moment, filter(None, (began, *started)))) + _startup_time(pod)
    if _moment(since) > first:
        yield Disturbance(name, "was not Ready", _moment(since))


def _startup_time(pod: Value) -> datetime.timedelta:
    """How long after its containers' start a pod may get Ready for the first time."""
    probes = [
        dig(container, f"{kind}Probe")
        for container in items(pod, "spec", "containers")
        for kind in ("startup", "readiness")
    ]
    seconds = [
        _number(probe, "initialDelaySeconds", 0)
        + _number(probe, "periodSeconds", _PERIOD) * _number(probe, "failureThreshold", _TRIES)
        for probe in probes
        if probe is not None
    ]
    return datetime.timedelta(seconds=sum(seconds)) + _SLACK


def _of_deployment(deployment: Value) -> Iterator[Disturbance]:
    """A Deployment that had fewer pods than it needs, later than at its creation."""
    available = reconciliation.condition(deployment, "Available")
    since = text(available, "lastTransitionTime")
    if text(available, "status") == "True" and since:
        yield Disturbance(_name("Deployment", deployment), "was not Available", _moment(since))


def _end(pod: Value) -> datetime.datetime:
    """When the last container of a failed pod ended; when it began, if none ever ran."""
    finished = [
        text(each, "state", "terminated", "finishedAt")
        for each in items(pod, "status", "containerStatuses")
    ]
    began = text(pod, "status", "startTime") or text(pod, "metadata", "creationTimestamp")
    return max(map(_moment, filter(None, (began, *finished))))


def _name(kind: str, value: Value) -> str:
    return f"{kind} {text(value, 'metadata', 'namespace')}/{text(value, 'metadata', 'name')}"


def _number(value: object, key: str, default: int) -> int:
    number = dig(value, key)
    return number if isinstance(number, int) else default


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)
