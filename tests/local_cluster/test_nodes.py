"""Fake nodes are what eksctl.yaml would make."""

from pathlib import Path

import pytest

from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.core.values import dig, items, mapping
from harness.local_cluster import nodes


def test_production_has_its_groups_zones_and_gpus(checkout: Repository) -> None:
    manifests = nodes.of(checkout, "production")
    gpu = [node for node in manifests if "nvidia.com/gpu" in mapping(node, "status", "allocatable")]
    zones = {mapping(node, "metadata", "labels")["topology.kubernetes.io/zone"] for node in gpu}
    assert len(gpu) == len(zones) == 3
    for node in gpu:
        assert mapping(node, "metadata", "labels")["nvidia.com/gpu.present"] == "true"
        assert [dig(taint, "key") for taint in items(node, "spec", "taints")] == ["nvidia.com/gpu"]
        assert dig(node, "status", "capacity", "nvidia.com/gpu") == "1"
        assert dig(node, "status", "capacity", "cpu") == "4"
    assert len(manifests) > len(gpu)


def test_environment_without_eksctl_has_plain_nodes(checkout: Repository) -> None:
    manifests = nodes.of(checkout, "local")
    assert [items(node, "spec", "taints") for node in manifests] == [[], [], []]


def test_instance_of_unknown_size_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "clusters" / "odd"
    folder.mkdir(parents=True)
    (folder / "eksctl.yaml").write_text(
        "availabilityZones: [a1a]\nmanagedNodeGroups: [{name: x, instanceType: g99.metal}]\n"
    )
    with pytest.raises(InputError, match=r"g99\.metal"):
        nodes.of(Repository(tmp_path), "odd")
