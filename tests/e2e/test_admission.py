"""`harness check --server`: the API server's own word on what would be applied."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.errors import Location
from harness.core.repository import Repository
from harness.core.values import Value
from harness.kubernetes.api import Api
from harness.local_cluster import admission
from harness.render.objects import Object, Owner
from harness.render.rendered import Environment
from tests.e2e.scenario import NAME

_AT = Location(Path("somewhere.yaml"), 7)


def _environment(*values: Value) -> Environment:
    owner = Owner("Kustomization", "flux-system", "try")
    objects = tuple(Object(value, owner, lambda _value, _path: _AT) for value in values)
    return Environment("try", "candidate", objects)


def _deployment(image: str) -> Value:
    labels = {"app": "try"}
    container = {
        "name": "try",
        "image": image,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    restricted = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {"securityContext": restricted, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "try", "namespace": NAME},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


@pytest.fixture(scope="module")
def server(checkout: Repository) -> Iterator[Api]:
    """An API server that has judged every environment, and taken what it needed for that."""
    with admission.server(checkout) as api:
        assert list(admission.evaluate(api, checkout)) == [], "the repository is taken as it is"
        yield api


def test_refusals_name_the_object_its_source_and_the_reason(server: Api) -> None:
    problems = list(
        admission.refusals(
            server,
            _environment(
                _deployment("localhost/torchserve:latest"),
                {
                    "apiVersion": "helm.toolkit.fluxcd.io/v2",
                    "kind": "HelmRelease",
                    "metadata": {"name": "none", "namespace": "flux-system"},
                    "spec": {"interval": "1m"},
                },
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "typo", "namespace": NAME},
                    "dataa": {"a": "b"},
                },
            ),
        )
    )
    assert [each.object for each in problems] == [
        f"Deployment/{NAME}/try",
        "HelmRelease/flux-system/none",
        f"ConfigMap/{NAME}/typo",
    ]
    assert {each.location for each in problems} == {_AT}
    for each, why in zip(problems, ("image by digest", "chart", "dataa"), strict=True):
        assert why in each.message
