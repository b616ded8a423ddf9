"""What the screen of whoever is on call says about objects of Flux and about pods."""

import pytest

from harness.core.values import Value
from harness.kubernetes import reconciliation, status
from harness.kubernetes.status import ClusterStatus, Row

_READY = Row("Kustomization", "policies", "ready", "main@0123456789ab", 90, "")
_BROKEN = Row("HelmRelease", "torchserve", "not ready", "1.0.0 r3 failed", 7_300, "timed out")
_SUSPENDED = Row("HelmRelease", "nvidia", "suspended", "", 0, "")


def _screen(*rows: Row) -> ClusterStatus:
    return ClusterStatus("v1.36.3", "a" * 40, "b" * 40, pinned=True, behind=2, rows=rows)


def _pod(phase: str, kind: str = "", uid: str = "") -> Value:
    owners = [{"kind": kind, "uid": uid}] if kind else []
    return {"metadata": {"ownerReferences": owners}, "status": {"phase": phase}}


def _flux(ready: str, *, observed: int = 1, generation: int = 1, suspend: bool = False) -> Value:
    return {
        "metadata": {"generation": generation},
        "spec": {"suspend": suspend},
        "status": {
            "observedGeneration": observed,
            "conditions": [{"type": "Ready", "status": ready, "observedGeneration": observed}],
        },
    }


def test_screen_says_first_what_is_broken_and_why() -> None:
    lines = status.format_status(_screen(_READY, _BROKEN)).splitlines()
    assert lines[1:3] == [
        "main      aaaaaaaaaaaa",
        "release   bbbbbbbbbbbb (pinned, 2 commits behind main)",
    ]
    assert "  HelmRelease/torchserve: timed out" in lines
    assert lines[-3].split() == ["KIND", "NAME", "STATE", "REVISION", "AGE"]
    assert lines[-1].endswith("2h")


@pytest.mark.parametrize(
    ("rows", "ready"),
    [([_READY], True), ([_READY, _SUSPENDED], True), ([_READY, _BROKEN], False), ([], False)],
    ids=["all ready", "one suspended", "one broken", "no Flux"],
)
def test_screen_is_ready_when_nothing_that_runs_is_broken(rows: list[Row], ready: bool) -> None:
    assert _screen(*rows).ready is ready


@pytest.mark.parametrize(
    ("value", "ready"),
    [
        (_flux("True"), True),
        (_flux("False"), False),
        (_flux("True", observed=0), False),
        ({}, False),
    ],
    ids=["ready", "not ready", "an old word", "nothing said"],
)
def test_ready_is_about_the_form_that_was_asked_for(value: Value, ready: bool) -> None:
    assert reconciliation.ready(value) is ready


@pytest.mark.parametrize(
    ("value", "overtaken"),
    [
        (_flux("Unknown", generation=2), True),
        (_flux("Unknown"), False),
        (_flux("False", generation=2), False),
        ({}, False),
    ],
    ids=["a newer one waits", "the newest is under way", "it has ended", "nothing said"],
)
def test_release_is_overtaken_while_an_older_action_runs(value: Value, overtaken: bool) -> None:
    assert status.is_overtaken(value) is overtaken


def test_suspended_objects_are_not_waited_for() -> None:
    assert not reconciliation.active(_flux("False", suspend=True))


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        (
            {
                "status": {
                    "containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
                }
            },
            "CrashLoopBackOff",
        ),
        (
            {
                "status": {
                    "conditions": [
                        {
                            "type": "PodScheduled",
                            "status": "False",
                            "reason": "Unschedulable",
                            "message": "0/3 nodes are available",
                        }
                    ]
                }
            },
            "Unschedulable: 0/3 nodes",
        ),
        ({"status": {"phase": "Pending"}}, "Pending"),
    ],
    ids=["a container waits", "no node fits", "nothing more is known"],
)
def test_pod_says_why_it_is_not_ready(pod: Value, why: str) -> None:
    assert why in status.pod_reason(pod)


@pytest.mark.parametrize(
    ("pod", "well"),
    [
        (_pod("Succeeded", "Job", "done"), True),
        (_pod("Failed", "Job", "done"), True),
        (_pod("Failed", "Job", "at work"), False),
        (_pod("Failed", "ReplicaSet", "any"), True),
        (_pod("Failed"), False),
        (_pod("Running"), False),
        ({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, True),
    ],
    ids=["ended", "tried again", "not yet", "evicted", "nobody's", "starting", "ready"],
)
def test_pod_that_ended_matters_where_nothing_stands_for_it(pod: Value, well: bool) -> None:
    assert status.is_well(pod, {"done"}) is well
