"""Archives that a cluster still lists: what runs, what is about to, and what can come back."""

import json
from pathlib import Path

from harness.archives import model_store
from harness.kubernetes import api
from tests.support.api_server import State, serving


def _files(name: str) -> str:
    return json.dumps([{"name": name, "sha256": "0" * 64, "size": 1}])


def _config_map(name: str, archive: str) -> dict:
    metadata = {"name": name, "namespace": "torchserve"}
    return {
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"model-files.json": _files(archive)},
    }


def _replica_set(name: str, annotations: dict[str, str]) -> dict:
    template = {"metadata": {"annotations": annotations}}
    metadata = {"name": name, "namespace": "torchserve"}
    return {"kind": "ReplicaSet", "metadata": metadata, "spec": {"template": template}}


def test_every_group_and_replica_set_that_can_come_back_is_asked(tmp_path: Path) -> None:
    state = State()
    state.add(
        _config_map("vision-model-sync", "of-a-second-group.mar"),
        _config_map("gone-model-sync", "of-a-group-that-is-gone.mar"),
        _config_map("torchserve-model-sync", "coming.mar"),
        _config_map("torchserve", "of-an-older-chart.mar"),
        _config_map("kube-root-ca.crt", "not-a-release.mar"),
        _replica_set("torchserve-new", {"torchserve/model-files.json": _files("new.mar")}),
        _replica_set("torchserve-old", {"torchserve/model-files.json": _files("old.mar")}),
        _replica_set("torchserve-older", {"checksum/config": "1f2e"}),
    )
    with serving(state, tmp_path / "kubeconfig"):
        listed = model_store.listed_archives(
            api.connect(tmp_path / "kubeconfig"), ["torchserve", "vision"]
        )
    assert listed == {
        "coming.mar",
        "of-a-second-group.mar",
        "of-an-older-chart.mar",
        "new.mar",
        "old.mar",
    }
