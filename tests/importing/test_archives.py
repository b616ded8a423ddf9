"""What an import reads of an archive is what TorchServe would unpack."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from harness.importing import archives
from harness.models import archive_contents

MANIFEST = json.dumps({"model": {"modelName": "toy", "modelVersion": "2.0", "handler": "h.py"}})


def tar(path: Path, member: str) -> None:
    with tarfile.open(path, "w:gz") as packed:
        info = tarfile.TarInfo(member)
        info.size = len(MANIFEST)
        packed.addfile(info, io.BytesIO(MANIFEST.encode()))


@pytest.mark.parametrize("top", ["toy/", "./", ""], ids=["a folder", "a dot", "nothing at its top"])
def test_the_first_folder_of_a_tar_is_dropped_for_import_and_build_alike(
    tmp_path: Path, top: str
) -> None:
    tar(tmp_path / "toy.tar.gz", f"{top}MAR-INF/MANIFEST.json")

    imported = archives.read(tmp_path, "toy.tar.gz")
    built = archive_contents.read(tmp_path / "toy.tar.gz")

    assert (imported.version, imported.handler) == (built.version, built.handler)
    assert imported.handler == ("h.py" if top else "")
