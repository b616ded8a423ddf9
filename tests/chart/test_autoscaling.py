"""The autoscaler that the chart makes: one owner of the number of pods, within its limits."""

import pytest

from harness.core.command import CommandError
from tests.chart.conftest import Render

KEDA = {"kind": "keda", "minReplicas": 2, "maxReplicas": 4}


def test_no_autoscaler_unless_asked_for(render: Render) -> None:
    rendered = render("gpu")
    assert not {"ScaledObject", "HorizontalPodAutoscaler"} & rendered.kinds()
    assert rendered("Deployment")["spec"]["replicas"] == 2


@pytest.mark.parametrize(
    ("kind", "autoscaler", "least", "most"),
    [
        ("keda", "ScaledObject", "minReplicaCount", "maxReplicaCount"),
        ("hpa", "HorizontalPodAutoscaler", "minReplicas", "maxReplicas"),
    ],
)
def test_it_alone_owns_the_replicas(
    render: Render, kind: str, autoscaler: str, least: str, most: str
) -> None:
    rendered = render("gpu", {"autoscaling": KEDA | {"kind": kind}})
    scaler = rendered(autoscaler)["spec"]
    assert (scaler[least], scaler[most]) == (2, 4)
    assert scaler["scaleTargetRef"]["name"] == "release"
    assert "replicas" not in rendered("Deployment")["spec"]


def test_every_trigger_asks_for_its_own_group_and_takes_nothing_for_no_load(render: Render) -> None:
    keda = {"keda": {"requestsPerSecond": 12}}
    triggers = render("gpu", {"autoscaling": KEDA | keda})("ScaledObject")["spec"]["triggers"]
    assert [each["name"] for each in triggers] == ["in-flight", "queue-time", "requests"]
    for each in triggers:
        assert each["metadata"]["ignoreNullValues"] == "false"
        assert 'group="release"' in each["metadata"]["query"]


def test_without_a_figure_of_what_a_pod_answers_there_is_no_floor(render: Render) -> None:
    triggers = render("gpu", {"autoscaling": KEDA})("ScaledObject")["spec"]["triggers"]
    assert [each["name"] for each in triggers] == ["in-flight", "queue-time"]


def test_metrics_of_ones_own_replace_those_of_the_cpu(render: Render) -> None:
    metric = {"type": "Pods", "pods": {"metric": {"name": "queued"}}}
    changes = {"autoscaling": KEDA | {"kind": "hpa", "hpa": {"metrics": [metric]}}}
    assert render("gpu", changes)("HorizontalPodAutoscaler")["spec"]["metrics"] == [metric]


@pytest.mark.parametrize(("least", "surge"), [(1, 1), (2, 0)])
def test_the_fewest_pods_say_whether_they_make_room_for_each_other(
    render: Render, least: int, surge: int
) -> None:
    deployment = render("gpu", {"autoscaling": KEDA | {"minReplicas": least}})("Deployment")
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == surge


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"maxReplicas": None}, "maxReplicas is not set, below minReplicas, 2"),
        ({"maxReplicas": 1}, "maxReplicas is 1, below minReplicas, 2"),
        ({"minReplicas": 0}, "minimum: got 0, want 1"),
        ({"enabled": True}, "which one"),
        ({"kind": "vpa"}, "value must be one of 'none', 'keda', 'hpa'"),
    ],
)
def test_what_no_autoscaler_could_do_is_refused(
    render: Render, wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        render("gpu", {"autoscaling": KEDA | wrong})
