"""What an API server still knows of failures that came and went, read from what it answers."""

import datetime
from typing import Any

import pytest

from harness.kubernetes import kinds
from harness.kubernetes.api import Kind
from harness.promotion import disturbances

T = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)


def at(hours: float) -> str:
    """So many hours after T, as an API server writes it."""
    return (T + datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Cluster:
    """What an API server would list; pods and Deployments are all that is asked."""

    def __init__(self, *pods: dict[str, Any], deployments: tuple[dict[str, Any], ...] = ()) -> None:
        self._objects = {kinds.POD: list(pods), kinds.DEPLOYMENT: list(deployments)}

    def list_all(self, kind: Kind) -> list[dict[str, Any]]:
        return self._objects[kind]


def container(**status: Any) -> dict[str, Any]:
    return {
        "name": "server",
        "restartCount": 0,
        "state": {"running": {"startedAt": at(0)}},
    } | status


def pod(
    *containers: dict[str, Any],
    ready: float = 0.1,
    namespace: str = "torchserve",
    owner: str = "ReplicaSet",
    phase: str = "Running",
    **status: Any,
) -> dict[str, Any]:
    """A pod that began at T; ``ready``: since when it has been, in hours after T."""
    probe = {"periodSeconds": 10, "failureThreshold": 60}
    return {
        "metadata": {"name": "a", "namespace": namespace, "ownerReferences": [{"kind": owner}]},
        "spec": {"containers": [{"name": "server", "startupProbe": probe}]},
        "status": {
            "phase": phase,
            "startTime": at(0),
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(ready)}],
            "containerStatuses": list(containers or [container()]),
            **status,
        },
    }


def oom_killed_status(hours: float, count: int = 3) -> dict[str, Any]:
    """A container that was killed for its memory, and runs again."""
    last = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": at(hours)}
    running = {"running": {"startedAt": at(hours + 0.01)}}
    return container(restartCount=count, lastState={"terminated": last}, state=running)


def look(*pods: dict[str, Any], **more: Any) -> list[str]:
    return list(map(str, disturbances.observe(Cluster(*pods, **more))))  # type: ignore[arg-type]


def test_quiet_cluster_has_none() -> None:
    assert look(pod(), pod(container(), container())) == []


def test_container_that_was_killed_says_how_often_why_and_when() -> None:
    (only,) = look(pod(oom_killed_status(20), ready=20.1))
    who, why = only.split(" was ")
    assert who == "Pod torchserve/a, container server,"
    assert why == "restarted 3 times, the last: OOMKilled (exit code 137), 2026-11-27 08:00 UTC"


def test_restart_whose_end_nobody_remembers_counts_from_the_start_after_it() -> None:
    again = container(restartCount=1, state={"running": {"startedAt": at(7)}})
    (only,) = look(pod(again, ready=7.1))
    assert "the last: unknown, 2026-11-26 19:00 UTC" in only


def test_sidecar_that_is_an_init_container_counts() -> None:
    (only,) = look(pod(initContainerStatuses=[oom_killed_status(5)], ready=0.1))
    assert "OOMKilled" in only


@pytest.mark.parametrize(("ready", "count"), [(0.1, 0), (0.19, 0), (0.5, 1), (12, 1)])
def test_pod_that_got_ready_later_than_its_probes_wait_was_not_in_between(
    ready: float, count: int
) -> None:
    unready = look(pod(ready=ready))
    assert len(unready) == count, "600 s for the first start, and 2 minutes"
    assert all("was not Ready" in each for each in unready)


def test_evicted_pod_that_still_lies_there_counts() -> None:
    gone = pod(phase="Failed", reason="Evicted", containerStatuses=[])
    assert look(gone) == ["Pod torchserve/a ended: Evicted, 2026-11-26 12:00 UTC"]
    ended = container(state={"terminated": {"finishedAt": at(9)}})
    assert look(pod(ended, phase="Failed")) == [
        "Pod torchserve/a ended: failed, 2026-11-26 21:00 UTC"
    ]


@pytest.mark.parametrize(
    "changes",
    [{"namespace": "kube-system"}, {"owner": "Job"}],
    ids=lambda each: str(*each.values()),
)
def test_what_no_release_brings_and_what_may_try_again_is_left_out(
    changes: dict[str, str],
) -> None:
    assert look(pod(oom_killed_status(20), ready=20.1, **changes)) == []


def test_pod_that_is_being_removed_is_left_out() -> None:
    going = pod(oom_killed_status(20))
    going["metadata"]["deletionTimestamp"] = at(21)
    assert look(going) == []


def deployment(since: float, status: str = "True") -> dict[str, Any]:
    available = {"type": "Available", "status": status, "lastTransitionTime": at(since)}
    return {
        "metadata": {"name": "torchserve", "namespace": "torchserve"},
        "status": {"conditions": [available]},
    }


def test_deployment_that_was_short_of_pods_says_until_when() -> None:
    assert look(deployments=(deployment(3),)) == [
        "Deployment torchserve/torchserve was not Available, 2026-11-26 15:00 UTC"
    ]


def test_newest_is_first() -> None:
    first, second, third = look(
        pod(oom_killed_status(3), ready=0.1),
        pod(oom_killed_status(9), ready=0.1),
        deployments=(deployment(6),),
    )
    assert ("21:00" in first, "18:00" in second, "15:00" in third) == (True, True, True)
