"""`gpu/rollout-fits` counts the GPUs that are there, and every pod that asks for one of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from harness.core.errors import Location
from harness.core.repository import Repository
from harness.policy import engine
from harness.policy.project import Project
from harness.render.objects import Object, Owner
from harness.render.rendered import Environment

Check = Callable[..., list[str]]
_RULE = "gpu/rollout-fits"
_SELECTED = {"nvidia.com/gpu.present": "true"}


def _object(value: dict) -> Object:
    return Object(
        value,
        Owner("HelmRelease", "flux-system", "torchserve"),
        lambda *_: Location(Path("made.yaml")),
    )


def _asking(kind: str, name: str, gpus: int = 1, **spec: object) -> dict:
    """A workload whose pods ask for GPUs."""
    container = {"name": name, "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}
    template = {"spec": {"containers": [container], "nodeSelector": _SELECTED}}
    metadata = {"name": name, "namespace": "torchserve"}
    return {"kind": kind, "metadata": metadata, "spec": {"template": template, **spec}}


def _deployment(name: str, replicas: int, surge: object, gpus: int = 1) -> dict:
    strategy = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": 1}}
    return _asking("Deployment", name, gpus, replicas=replicas, strategy=strategy)


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """``check(objects, nodes=3)``: the workloads that find no GPU."""
    evaluate = engine.load_rules()[_RULE].evaluate
    assert evaluate is not None

    def _check(*objects: dict, nodes: int = 3, instance: str = "g5.xlarge") -> list[str]:
        group = {
            "name": "gpu",
            "instanceType": instance,
            "labels": _SELECTED,
            "minSize": nodes,
            "desiredCapacity": nodes,
            "maxSize": nodes + 1,
        }
        path = tmp_path / "clusters/production/eksctl.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({"managedNodeGroups": [group]}))
        environment = Environment("production", "candidate", tuple(map(_object, objects)))
        project = Project(Repository(tmp_path), {"production": environment})
        return [problem.object.rpartition("/")[2] for problem in evaluate(project)]

    return _check


def test_what_surges_needs_a_gpu_that_is_there(check: Check) -> None:
    assert check(_deployment("server", 3, 0)) == []
    assert check(_deployment("server", 3, 1)) == ["server"]
    assert check(_deployment("server", 3, "25%")) == ["server"]
    assert check(_deployment("server", 3, 1), nodes=4) == []


def test_workloads_share_the_nodes(check: Check) -> None:
    assert check(_deployment("a", 2, 0), _deployment("b", 1, 0)) == []
    assert check(_deployment("a", 2, 0), _deployment("b", 1, 1)) == ["b"]
    assert check(_deployment("a", 2, 0), _asking("Job", "b", parallelism=2)) == ["b"]
    assert check(_deployment("a", 3, 0), _asking("DaemonSet", "b")) == ["a"], "it has every GPU"


def test_the_gpus_of_a_pod_are_on_one_node(check: Check) -> None:
    assert check(_deployment("a", 3, 0, gpus=2)) == ["a"]
    assert check(_deployment("a", 6, 0, gpus=2), instance="g5.12xlarge") == []
    small, large = _deployment("small", 3, 0), _deployment("large", 2, 0, gpus=4)
    assert check(small, large, instance="g5.12xlarge") == []


def test_autoscalers_of_pods_count_with_their_most(check: Check) -> None:
    server = _deployment("server", 2, 0)
    target = {"scaleTargetRef": {"name": "server"}}
    metadata = {"name": "server", "namespace": "torchserve"}
    for kind, key in (
        ("HorizontalPodAutoscaler", "maxReplicas"),
        ("ScaledObject", "maxReplicaCount"),
    ):
        for most, short in ((3, []), (4, ["server"])):
            scaler = {"kind": kind, "metadata": metadata, "spec": {**target, key: most}}
            assert check(server, scaler) == short


def _nodes_for(labels: dict[str, str]) -> dict:
    template = {"metadata": {"labels": labels}, "spec": {}}
    return {"kind": "NodePool", "metadata": {"name": "gpu"}, "spec": {"template": template}}


def test_nodes_that_something_adds_count(check: Check) -> None:
    surging = _deployment("server", 3, 1)
    chart = {"chart": {"spec": {"chart": "cluster-autoscaler"}}}
    scaler = {"kind": "HelmRelease", "metadata": {"name": "scaler"}, "spec": chart}
    assert check(surging, scaler) == []
    assert check(_deployment("server", 3, 2), scaler) == ["server"], "up to maxSize"
    assert check(surging, _nodes_for(_SELECTED)) == []
    assert check(surging, _nodes_for({"team": "web"})) == ["server"], "it makes other nodes"
