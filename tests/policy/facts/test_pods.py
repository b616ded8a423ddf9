"""What rules ask of pods: selectors, arguments, ports, mounts."""

from fractions import Fraction
from pathlib import Path

import pytest

from harness.core.errors import Location
from harness.core.values import KeyPath, Value
from harness.policy.facts.pods import Container, pod, selects
from harness.render.objects import Object, Owner

LABELS = {"app": "web", "tier": "front"}


def _object(value: Value) -> Object:
    def trace(_value: Value, _path: KeyPath) -> Location:
        return Location(Path("file.yaml"), 1)

    return Object(value, Owner("Kustomization", "flux-system", "apps"), trace)


def _container(**value: object) -> Container:
    spec = {"containers": [{"name": "main", **value}]}
    (container,) = pod(_object({"kind": "Pod", "spec": spec})).containers
    return container


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchLabels": {"app": "web", "zone": "a"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_selector(selector: Value, fits: bool) -> None:
    assert selects(selector, LABELS) is fits


@pytest.mark.parametrize(
    ("args", "value"),
    [(["--port=8090"], "8090"), (["--port", "8090"], "8090"), (["--port"], None), ([], None)],
)
def test_option(args: list[str], value: str | None) -> None:
    assert _container(command=["launcher"], args=args).option("--port") == value


@pytest.mark.parametrize(
    ("limits", "devices", "whole"),
    [
        ({"nvidia.com/gpu": "2", "memory": "1Gi"}, 2, 2),
        ({"nvidia.com/mig-1g.5gb": "3"}, 3, Fraction(3, 7)),
        ({"nvidia.com/mig-3g.40gb": "1"}, 1, Fraction(1, 2)),
        ({"nvidia.com/mig-7g.80gb": 1}, 1, 1),
        ({"amd.com/gpu": "1"}, 1, 1),
        ({"cpu": "4"}, 0, 0),
    ],
)
def test_gpus_by_every_name_of_a_plugin(limits: Value, devices: int, whole: float) -> None:
    container = {"name": "main", "resources": {"limits": limits}}
    subject = pod(_object({"kind": "Pod", "spec": {"containers": [container]}}))
    assert (subject.gpus, subject.whole_gpus) == (devices, whole)


def test_port_by_name_and_by_number() -> None:
    container = _container(ports=[{"name": "http", "containerPort": 8080}])
    assert container.port("http") == container.port(8080) == 8080
    assert container.port("grpc") is container.port(8081) is None


def test_the_deepest_mount_holds_a_path() -> None:
    mounts = [{"name": "root", "mountPath": "/run"}, {"name": "work", "mountPath": "/run/work"}]
    container = _container(volumeMounts=mounts)
    assert container.mount("/run/work/logs") == (1, mounts[1])
    assert container.mount("/run/workshop") == (0, mounts[0])
    assert container.mount("/var") is None


@pytest.mark.parametrize("kind", ["Deployment", "Job", "CronJob", "Pod"])
def test_the_pod_of_every_workload(kind: str) -> None:
    template: dict[str, object] = {"metadata": {"labels": LABELS}, "spec": {"hostPID": True}}
    value: dict[str, object] = {
        "Pod": template,
        "CronJob": {"spec": {"jobTemplate": {"spec": {"template": template}}}},
    }.get(kind, {"spec": {"template": template}})
    subject = pod(_object({"kind": kind, **value}))
    assert subject.labels == LABELS
    assert subject.spec == {"hostPID": True}
