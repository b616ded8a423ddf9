"""The repository's own models for real pods: a second release has them in a version of its own."""

import zipfile
from pathlib import Path

from harness.canary import known
from harness.core.repository import Repository
from harness.local_cluster.local import LocalCluster
from harness.local_cluster.ports import Ports
from harness.local_cluster.real import release
from harness.models.archive import MANIFEST, read_manifest
from tests.embedded_server.conftest import archive, fill
from tests.real import own_models

__all__ = ["archive"]


def _cluster(tmp_path: Path, archive: Path) -> LocalCluster:
    repository = fill(Repository(tmp_path), archive)
    (repository.cluster("local") / "loadtest.yaml").write_text("target: http://localhost\n")
    cluster = LocalCluster(repository, "real", "local", Ports.free(set()))
    (cluster.folder / release.STORE).mkdir(parents=True)
    return cluster


def _content(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as packed:
        return {each: packed.read(each) for each in packed.namelist() if each != MANIFEST}


def test_new_version_differs_in_its_manifest_alone(tmp_path: Path, archive: Path) -> None:
    cluster = _cluster(tmp_path, archive)
    (first,) = own_models.pack(cluster.repository, cluster, release.FIRST)
    (second,) = own_models.pack(cluster.repository, cluster, "2.0")
    assert (first.version, second.version) == ("1.0", "1.0-2.0")
    assert read_manifest(second.archive).model_version == "1.0-2.0"
    assert _content(first.archive) == _content(second.archive) == _content(archive)


def test_what_they_have_to_answer_is_known(tmp_path: Path, archive: Path) -> None:
    cluster = _cluster(tmp_path, archive)
    path = own_models.write_known(cluster.repository, cluster)
    (sample,) = known.read(path, "local")["torchserve"]["gated"]
    assert sample.body == b"ask"
