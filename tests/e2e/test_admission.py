"""`harness check --server`: the API server's own word on what would be applied."""

import copy
from pathlib import Path

from harness.cluster import admission
from harness.core.errors import Location
from harness.render.environment import Renderer
from harness.render.objects import Environment, Object, Owner, Value
from tests.e2e.lab import NAME, Lab

_AT = Location(Path("somewhere.yaml"), 7)


def _environment(*values: Value) -> Environment:
    owner = Owner("Kustomization", "flux-system", "try")
    objects = tuple(Object(value, owner, lambda _value, _path: _AT) for value in values)
    return Environment("try", "candidate", objects)


def _deployment(lab: Lab, **container: object) -> Value:
    """TorchServe's Deployment under another name, with a container that is a little different."""
    value = copy.deepcopy(dict(lab.deployment()))
    spec = copy.deepcopy(value["spec"])
    spec["template"]["spec"]["containers"][0] |= container
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "try", "namespace": NAME},
        "spec": spec,
    }


def test_what_this_repository_applies_is_taken(lab: Lab) -> None:
    local = Renderer(lab.cluster.repository).candidate("local")
    rest = [each for each in local.objects if each.kind != "GitRepository"]  # of another address
    assert list(admission.refusals(lab.api, _environment(*(each.value for each in rest)))) == []


def test_refusals_name_the_object_its_source_and_the_reason(lab: Lab) -> None:
    found = list(
        admission.refusals(
            lab.api,
            _environment(
                _deployment(lab, image="localhost/torchserve:latest"),
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
    assert [each.object for each in found] == [
        f"Deployment/{NAME}/try",
        "HelmRelease/flux-system/none",
        f"ConfigMap/{NAME}/typo",
    ]
    assert {each.location for each in found} == {_AT}
    for each, why in zip(found, ("image by digest", "chart", "dataa"), strict=True):
        assert why in each.message
