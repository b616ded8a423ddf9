"""Archives of real pods: which version has which handler."""

from pathlib import Path

import pytest

from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.local_cluster.local import LocalCluster
from harness.local_cluster.ports import Ports
from harness.local_cluster.real import release
from tests.real.disturbances import PATIENT


def test_version_never_changes_its_handler(tmp_path: Path) -> None:
    cluster = LocalCluster(Repository(tmp_path), "real", "local", Ports.free(set()))
    cluster.folder.mkdir(parents=True)
    release.pack(cluster, "1.0")
    (archive,) = (cluster.folder / release.STORE).iterdir()
    before = archive.read_bytes()
    release.pack(cluster, "1.0")
    with pytest.raises(HarnessError, match=r"version 1\.0 has no patient_handler\.py"):
        release.pack(cluster, "1.0", PATIENT)
    assert archive.read_bytes() == before
