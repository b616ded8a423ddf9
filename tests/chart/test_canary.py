"""What the chart makes for Flagger: a Canary, and an autoscaler with the limits of the canary."""

import pytest

from harness.core.command import CommandError
from tests.chart.conftest import Render

SCALING = {"kind": "keda", "minReplicas": 2, "maxReplicas": 3}
CANARY = {"enabled": True, "hosts": ["a.example.com"], "match": [{"uri": {"prefix": "/p"}}]}
ON = {"autoscaling": SCALING, "canary": CANARY}


def test_no_canary_unless_asked_for(render: Render) -> None:
    rendered = render("gpu")
    assert "Canary" not in rendered.kinds()
    assert "app.kubernetes.io/instance" in rendered("Service")["spec"]["selector"]


def test_nothing_that_flagger_owns_is_the_releases(render: Render) -> None:
    rendered = render("gpu", ON)
    owned = rendered("Canary")["spec"]["service"]["name"]
    names = {each["metadata"]["name"] for each in rendered.objects if each["kind"] == "Service"}
    assert not names & {f"{owned}{suffix}" for suffix in ("", "-primary", "-canary")}
    assert "HTTPRoute" not in rendered.kinds()


@pytest.mark.parametrize(
    ("kind", "scaler", "least", "most"),
    [
        ("keda", "ScaledObject", "minReplicaCount", "maxReplicaCount"),
        ("hpa", "HorizontalPodAutoscaler", "minReplicas", "maxReplicas"),
    ],
)
def test_the_limits_are_those_of_the_pods_that_serve(
    render: Render, kind: str, scaler: str, least: str, most: str
) -> None:
    rendered = render("gpu", ON | {"autoscaling": SCALING | {"kind": kind}})
    serving = rendered("Canary")["spec"]["autoscalerRef"]
    assert (serving["kind"], serving["name"]) == (scaler, "release")
    assert serving["primaryScalerReplicas"] == {"minReplicas": 2, "maxReplicas": 3}
    assert (rendered(scaler)["spec"][least], rendered(scaler)["spec"][most]) == (1, 1)
    assert "replicas" not in rendered("Deployment")["spec"]


def test_either_side_is_scaled_by_its_own_figures(render: Render) -> None:
    rendered = render("gpu", ON)
    triggers = rendered("ScaledObject")["spec"]["triggers"]
    ours = {each["name"]: each["metadata"]["query"] for each in triggers}
    serving = rendered("Canary")["spec"]["autoscalerRef"]["primaryScalerQueries"]
    assert set(ours) == set(serving), "Flagger would guess the query of one that has none"
    for name, query in serving.items():
        assert query.replace("=~", "!~") == ours[name]


def test_the_service_finds_whoever_serves(render: Render) -> None:
    """Without a cluster no primary is known: then it is every server of the group."""
    assert render("gpu", ON)("Service")["spec"]["selector"] == {"torchserve/group": "release"}


def test_without_a_gate_no_answer_is_compared(render: Render) -> None:
    analysis = render("gpu", ON)("Canary")["spec"]["analysis"]
    assert [each["type"] for each in analysis["webhooks"]] == ["pre-rollout", "rollout"]
    ungated = render("gpu", ON | {"canary": CANARY | {"gate": ""}})("Canary")
    assert "webhooks" not in ungated["spec"]["analysis"]


def test_the_shadow_gets_a_copy_of_each_request_and_is_asked_first(render: Render) -> None:
    plain = render("gpu", ON)("Canary")["spec"]
    assert "mirror" not in plain["service"]
    shadow = {"shadow": {"enabled": True, "requests": 50}}
    canary = render("gpu", ON | {"canary": CANARY | shadow})("Canary")["spec"]
    assert canary["service"]["mirror"] == [
        {"backendRef": {"name": "shadow", "namespace": "canary", "port": 8098}}
    ]
    question = canary["analysis"]["webhooks"][-1]
    assert (question["type"], question["metadata"]) == (
        "pre-rollout",
        {"group": "release", "percent": "1", "requests": "50"},
    )
    assert "disagreements" in [each["name"] for each in canary["analysis"]["metrics"]]


def test_a_canary_that_gets_all_requests_at_once_has_as_many_pods_as_serve(render: Render) -> None:
    at_once = {"analysis": {"iterations": 5}, "shadow": {"enabled": True}, "maxReplicas": 3}
    rendered = render("gpu", ON | {"canary": CANARY | at_once})
    assert rendered("Canary")["spec"]["analysis"]["iterations"] == 5
    assert rendered("ScaledObject")["spec"]["minReplicaCount"] == SCALING["minReplicas"]


BLUE_GREEN = {"analysis": {"iterations": 5}, "maxReplicas": 3}
SHADOW = {"shadow": {"enabled": True}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"canary": CANARY}, "needs autoscaling.kind"),
        ({"autoscaling": SCALING, "canary": CANARY | {"match": []}}, "canary: true"),
        ({"autoscaling": SCALING, "canary": CANARY | {"hosts": []}}, "canary: true"),
        (ON | {"canary": CANARY | BLUE_GREEN}, "shadow.enabled sends it copies"),
        (ON | {"canary": CANARY | BLUE_GREEN | SHADOW | {"maxReplicas": 1}}, "maxReplicas is 1"),
    ],
)
def test_what_flagger_could_not_do_is_refused(
    render: Render, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        render("gpu", changes)


def test_a_canary_can_be_told_to_hold_still(render: Render) -> None:
    assert "suspend" not in render("gpu", ON)("Canary")["spec"]
    suspended = render("gpu", ON | {"canary": CANARY | {"suspend": True}})("Canary")
    assert suspended["spec"]["suspend"] is True
