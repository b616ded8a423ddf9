"""A Canary is ready when the pods that serve are those of Git, whatever its phase says."""

import copy
from typing import Any

import pytest

from harness.kubernetes import canary


def deployment(name: str, image: str, **notes: str) -> dict[str, Any]:
    spec = {"containers": [{"name": "torchserve", "image": image}]}
    template = {"metadata": {"annotations": notes}, "spec": spec}
    return {"metadata": {"name": name}, "spec": {"template": template}}


def flagger(phase: str, weight: int = 0, message: str = "") -> dict[str, Any]:
    status = {"phase": phase, "canaryWeight": weight}
    condition = {"type": "Promoted", "message": message}
    return {
        "metadata": {"name": "vision"},
        "spec": {"targetRef": {"name": "vision"}},
        "status": {**status, "conditions": [condition]},
    }


NEW = deployment("vision", "new", settings="b")
SERVING = deployment("vision-primary", "new", settings="b", **{"flagger-id": "1"})


@pytest.mark.parametrize("phase", ["Initialized", "Succeeded"])
def test_it_is_ready_with_the_pods_of_git(phase: str) -> None:
    assert canary.state(flagger(phase), [NEW, SERVING]) == ("ready", "")


def test_what_flagger_rewrites_for_the_primary_is_no_difference() -> None:
    target, primary = copy.deepcopy(NEW), copy.deepcopy(SERVING)
    for each, name in ((target, "vision"), (primary, "vision-primary")):
        each["spec"]["template"]["spec"]["affinity"] = {"of": name}
    assert canary.state(flagger("Succeeded"), [target, primary])[0] == "ready"


@pytest.mark.parametrize(
    "before",
    [
        deployment("vision-primary", "old", settings="b"),
        deployment("vision-primary", "new", settings="a"),
    ],
    ids=["image", "settings"],
)
def test_a_phase_of_the_last_change_does_not_count(before: dict[str, Any]) -> None:
    state, why = canary.state(flagger("Succeeded"), [NEW, before])
    assert (state, why) == ("reconciling", "vision-primary does not have the pods of vision yet")


def test_without_a_primary_nothing_of_it_serves() -> None:
    assert canary.state(flagger(""), [NEW])[0] == "reconciling"
    assert canary.state(flagger("Succeeded"), [NEW])[0] == "reconciling"


def test_a_canary_on_its_way_says_how_far_it_is() -> None:
    state, why = canary.state(flagger("Progressing", 30, "in progress"), [NEW, SERVING])
    assert (state, why) == ("reconciling", "Progressing, 30 percent of requests: in progress")


def test_a_promotion_that_failed_leaves_the_requests_with_the_canary() -> None:
    state, why = canary.state(flagger("Failed", 100, "not ready"), [NEW, SERVING])
    assert state == "not ready"
    assert why == "its promotion failed, 100 percent of requests go to the canary: not ready"


def test_a_canary_that_went_back_is_not_ready() -> None:
    state, why = canary.state(flagger("Failed", 0, "analysis failed"), [NEW, SERVING])
    assert (state, why) == ("not ready", "went back: analysis failed")


def test_a_suspended_canary_is_ready_with_the_pods_of_git_alone() -> None:
    suspended = flagger("Succeeded")
    suspended["spec"]["suspend"] = True
    old = deployment("vision-primary", "old", settings="b")
    assert canary.state(suspended, [NEW, SERVING]) == ("ready", "")
    state, why = canary.state(suspended, [NEW, old])
    assert (state, why) == (
        "not ready",
        "suspended: vision-primary does not get the pods of vision",
    )
