"""What real pods serve: the working tree's release, with the built image and a cheap model.

It wants no package and costs next to nothing, and its answer depends on the request, so that a
wrong one is seen. Other models may be served with it.
"""

import hashlib
import json
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.core import command
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.local_cluster import placeholder_commit
from harness.local_cluster.local import LocalCluster
from harness.snapshot import properties

MODEL = "echo"
"""Answers a request with the SHA-256 of its body."""

FIRST = "1.0"
"""The version of the model that a cluster begins with."""

STORE = "store"
"""The folder of a cluster that is the nodes' volume of models."""

_GROUP = Path("apps/torchserve/local/torchserve")
_SITE = "clusters/local/site.yaml"
_STORE_OF_SITE = "/var/lib/torchserve/model-store"
HANDLER = Path(__file__).with_name("echo_handler.py")
# So little that four pods fit on this machine with the gateway's.
_RESOURCES = {
    "requests": {"cpu": "100m", "memory": "512Mi", "ephemeral-storage": "256Mi"},
    "limits": {"memory": "2Gi", "ephemeral-storage": "2Gi"},
}

_SETTINGS: Mapping[str, object] = {
    "minWorkers": 1,
    "maxWorkers": 1,
    "batchSize": 8,
    "maxBatchDelay": 2,
    "responseTimeout": 30,
    "startupTimeout": 60,
}


@dataclass(frozen=True, slots=True)
class Served:
    """A model of a release.

    Attributes:
        name: in the paths of requests.
        version: of the model, as its archive has it.
        archive: in the store.
        settings: of its workers and batches.
    """

    name: str
    version: str
    archive: Path
    settings: Mapping[str, object]

    def entry(self) -> Mapping[str, object]:
        """As it stands in the value of ``model_snapshot``."""
        return {**self.settings, "defaultVersion": True, "marName": self.archive.name}

    def file(self) -> Mapping[str, object]:
        """The archive as it stands in the chart's values."""
        content = self.archive.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        return {"name": self.archive.name, "sha256": sha256, "size": len(content)}


def first(repository: Repository, cluster: LocalCluster, digest: str) -> dict[str, str]:
    """The changes to the working tree that a cluster with real nodes begins with.

    Args:
        repository: the working tree.
        cluster: the cluster, whose folder gets the archive.
        digest: of the serving image.
    """
    changes = placeholder_commit.changes(repository, "local", cluster.url)
    pack(cluster, FIRST)
    changes |= files(repository, cluster, digest, FIRST, {"replicas": 2})
    changes[_SITE] = changes[_SITE].replace(_STORE_OF_SITE, str(cluster.folder / STORE))
    return changes


def files(
    repository: Repository,
    cluster: LocalCluster,
    digest: str,
    version: str,
    chart_values: Mapping[str, object],
    others: Sequence[Served] = (),
) -> dict[str, str]:
    """The files of a release of the model in this version.

    Args:
        repository: the working tree.
        cluster: the cluster, whose folder has the archive.
        digest: of the serving image.
        version: of the model, which was packed before.
        chart_values: what else the chart is given.
        others: models that are served with it.
    """
    models = [Served(MODEL, version, _archive(cluster, version), _SETTINGS), *others]
    source = repository.root / _GROUP
    settings = {each.key: each.value for each in properties.read(source / "config.properties")}
    entries = {each.name: {each.version: each.entry()} for each in models}
    settings["model_snapshot"] = json.dumps({"modelCount": len(models), "models": entries})
    store = {"modelStore": {"files": [each.file() for each in models]}}
    overlay = yaml.safe_load((source / "helmrelease.yaml").read_text())
    overlay["spec"]["values"] |= {
        "image": {"digest": digest},
        "resources": _RESOURCES,
        **chart_values,
    }
    return {
        str(_GROUP / "config.properties"): properties.dump(settings),
        str(_GROUP / "model-files.yaml"): yaml.safe_dump(store),
        str(_GROUP / "helmrelease.yaml"): yaml.safe_dump(overlay, sort_keys=False),
    }


def pack(cluster: LocalCluster, version: str, handler: Path = HANDLER, *options: str) -> None:
    """Put the model's archive in a version into the store, unless it is there.

    Args:
        cluster: the cluster whose store it is put into.
        version: of the model.
        handler: its code.
        options: of TorchServe's own tool, in addition.

    Raises:
        HarnessError: the archive of this version has another handler.
    """
    path = _archive(cluster, version)
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        packer = Path(sys.executable).with_name("torch-model-archiver")
        argv: list[str | Path] = [packer, "--model-name", path.stem, "--version", version]
        # Elsewhere first: half an archive would be taken for one by the next start.
        with tempfile.TemporaryDirectory(dir=cluster.folder) as folder:
            command.run(
                [*argv, "--handler", handler, "--export-path", folder, *options], timeout=60
            )
            Path(folder, path.name).replace(path)
    # A running pod may have it, so that it stays what it is.
    with zipfile.ZipFile(path) as archive:
        if handler.name not in archive.namelist():
            raise HarnessError(f"version {version} has no {handler.name}", at=path)


def _archive(cluster: LocalCluster, version: str) -> Path:
    return cluster.folder / STORE / f"{MODEL}-{version}.mar"
