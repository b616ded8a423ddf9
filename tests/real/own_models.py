"""The repository's own models in real pods: archives in the store, and what they have to answer."""

import json
import zipfile
from pathlib import Path

from harness.canary import known
from harness.core import files
from harness.core.repository import Repository
from harness.local_cluster.local import LocalCluster
from harness.local_cluster.real import release
from harness.local_cluster.real.release import Served
from harness.models import build
from harness.models.archive import MANIFEST
from harness.snapshot import config
from tests.real.load import ENV


def pack(repository: Repository, cluster: LocalCluster, version: str) -> list[Served]:
    """Put each archive that was built into the store; from the second release on as a new version.

    Of a new version only the manifest differs, so that its answers are known too.

    Args:
        repository: whose models were built.
        cluster: whose store gets the archives.
        version: of the cheap model, whose release it is.
    """
    snapshot = config.load(repository, ENV, repository.built_models / "lock.yaml")
    served = []
    for name, built, entry in snapshot.models.entries():
        now = built if version == release.FIRST else f"{built}-{version}"
        path = cluster.folder / release.STORE / f"{name}-{now}.mar"
        if not path.exists():  # a running pod may have it
            with files.replacing(path) as target:
                _copy(build.store(repository) / entry.mar_name, target, now)
        settings = entry.model_dump(by_alias=True, exclude_none=True)
        served.append(Served(name, now, path, settings))
    return served


def _copy(archive: Path, into: Path, version: str) -> None:
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(into, "w") as target:
        for member in source.infolist():
            content = source.read(member)
            if member.filename == MANIFEST:
                manifest = json.loads(content)
                manifest["model"]["modelVersion"] = version
                content = json.dumps(manifest).encode()
            target.writestr(member, content)


def write_known(repository: Repository, cluster: LocalCluster) -> Path:
    """Write the samples of the models that were built, with their right answers."""
    path = cluster.folder / "known.json"
    known.write(path, {ENV: known.collect(repository, ENV)})
    return path
