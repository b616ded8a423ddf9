"""How many pods there are while a workload rolls out, and how long that takes."""

from pathlib import Path

import pytest

from harness.core.errors import Location
from harness.policy.facts import scale
from harness.policy.facts.scale import Rollout
from harness.render.objects import Object, Owner
from harness.render.rendered import Environment

NOTHING = Environment("production", "candidate", ())


def _deployment(**spec: object) -> Object:
    owner = Owner("HelmRelease", "flux-system", "torchserve")
    return Object({"kind": "Deployment", "spec": spec}, owner, lambda *_: Location(Path("made")))


@pytest.mark.parametrize(
    ("count", "rolling", "surge", "unavailable"),
    [
        (3, {"maxSurge": 0, "maxUnavailable": 1}, 0, 1),
        (4, {}, 1, 1),
        (5, {"maxSurge": "30%", "maxUnavailable": "30%"}, 2, 1),
        (3, {"maxSurge": 0, "maxUnavailable": "10%"}, 0, 1),
        (1, {}, 1, 0),
    ],
)
def test_numbers_and_shares(count: int, rolling: dict, surge: int, unavailable: int) -> None:
    deployment = _deployment(strategy={"rollingUpdate": rolling})
    assert scale.rollout(deployment, count) == Rollout(count, surge, unavailable)


def test_recreate_stops_all() -> None:
    deployment = _deployment(strategy={"type": "Recreate"})
    assert scale.rollout(deployment, 3) == Rollout(3, 0, 3)


@pytest.mark.parametrize(
    ("rolling", "seconds"),
    [
        ({"maxSurge": 1, "maxUnavailable": 0}, 3 * 240),
        ({"maxSurge": 3, "maxUnavailable": 0}, 240),
        ({"maxSurge": 0, "maxUnavailable": 1}, 3 * (65 + 240)),
    ],
)
def test_pods_that_make_room_stop_before_others_start(rolling: dict, seconds: int) -> None:
    probe = {"periodSeconds": 5, "failureThreshold": 48}
    pod = {"containers": [{"startupProbe": probe}], "terminationGracePeriodSeconds": 65}
    deployment = _deployment(
        replicas=3, strategy={"rollingUpdate": rolling}, template={"spec": pod}
    )
    assert scale.duration(NOTHING, deployment) == seconds
