"""Schemas refuse what the API server would refuse or drop."""

from pathlib import Path

import pytest

from harness.core.problem import Location, Problem
from harness.core.repository import Repository
from harness.core.values import KeyPath, Value
from harness.render.objects import Object, Owner
from harness.schema.validator import validate

OWNER = Owner("Kustomization", "flux-system", "apps")


def _problems(checkout: Repository, tmp_path: Path, value: Value) -> list[Problem]:
    repository = Repository(tmp_path)
    (tmp_path / "tools").symlink_to(checkout.root / "tools")
    (tmp_path / "build").mkdir()
    (checkout.build / "tools").mkdir(parents=True, exist_ok=True)
    (tmp_path / "build" / "tools").symlink_to(checkout.build / "tools")
    subject = Object(value, OWNER, lambda _, path: Location(Path(*map(str, path))))
    return [problem for _, problem in validate(repository, [subject])]


def _deployment(container: Value, **spec: object) -> Value:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x"},
        "spec": {
            "selector": {"matchLabels": {"app": "x"}},
            "template": {
                "metadata": {"labels": {"app": "x"}},
                "spec": {"containers": [{"name": "c", "image": "i", **container}]},
            },
            **spec,
        },
    }


def _kustomization(**spec: object) -> Value:
    source = {"kind": "GitRepository", "name": "release"}
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "x"},
        "spec": {"interval": "1m", "prune": True, "sourceRef": source, **spec},
    }


CONTAINER = ("spec", "template", "spec", "containers", 0)
VALID = {
    "deployment": _deployment({}),
    "a port by name or number": _deployment(
        {"livenessProbe": {"httpGet": {"port": "http"}}, "readinessProbe": {"httpGet": {"port": 1}}}
    ),
    "a null that a chart leaves": _deployment({"resources": None}),
    "kustomization": _kustomization(path="./apps"),
    "network policy with a port range": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "x"},
        "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 1, "endPort": 2}]}]},
    },
}
INVALID = {
    "unknown key": (_deployment({"imagePullpolicy": "Always"}), (*CONTAINER, "imagePullpolicy")),
    "text for a number": (_deployment({}, replicas="2"), ("spec", "replicas")),
    "number for text": (_deployment({"image": 7}), (*CONTAINER, "image")),
    "key on the wrong level": (_deployment({}, containers=[]), ("spec", "containers")),
    "missing key": ({**_deployment({}), "spec": {"replicas": 1}}, ("spec",)),
    "unknown key of a CRD": (_kustomization(wiat=True), ("spec", "wiat")),
    "bad pattern of a CRD": (_kustomization(timeout="five minutes"), ("spec", "timeout")),
    "unknown key of metadata": (
        {**_kustomization(), "metadata": {"name": "x", "lables": {}}},
        ("metadata", "lables"),
    ),
    "unknown key at the top": ({**_kustomization(), "sepc": {}}, ("sepc",)),
}


@pytest.mark.parametrize("value", VALID.values(), ids=VALID.keys())
def test_what_the_api_takes_is_valid(checkout: Repository, tmp_path: Path, value: Value) -> None:
    assert _problems(checkout, tmp_path, value) == []


@pytest.mark.parametrize(("value", "path"), INVALID.values(), ids=INVALID.keys())
def test_what_the_api_refuses_is_invalid(
    checkout: Repository, tmp_path: Path, value: Value, path: KeyPath
) -> None:
    assert Path(*map(str, path)) in [
        each.location.path for each in _problems(checkout, tmp_path, value)
    ]


@pytest.mark.parametrize("api", ["example.com/v1", "apps/v1beta9"])
def test_a_kind_without_a_schema_is_not_skipped(
    checkout: Repository, tmp_path: Path, api: str
) -> None:
    (problem,) = _problems(checkout, tmp_path, {**_deployment({}), "apiVersion": api})
    assert problem.rule == "schema/none"
