"""What an import reads of an archive is what TorchServe would unpack."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from harness.core.errors import InputError
from harness.importing import archives
from harness.models import archive_contents
from tests.importing.archives import Made

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


@pytest.mark.parametrize("form", ["toy.mar", "toy.tar.gz", "toy"])
def test_an_import_and_an_audit_read_every_form_alike(tmp_path: Path, form: str) -> None:
    archive = Made(
        form, "toy", "2.0", {"minWorkers": 3}, "a==1  # ours\nb @ https://c/d#egg=b\n#x\n"
    )
    path = archive.write(tmp_path)

    imported, audited = archives.read(tmp_path, form), archive_contents.read(path)

    assert imported.config == audited.settings == {"minWorkers": 3}
    assert imported.requirements == audited.requirements == ("a==1", "b @ https://c/d#egg=b")
    assert set(audited.files) == {"h.py", "model-config.yaml", "requirements.txt"}
    assert list(audited.python) == ["h.py"]


@pytest.mark.parametrize("model", [{"modelVersion": 2}, {"modelVersion": "2", "handler": None}])
def test_a_manifest_is_read_as_torchserves_parser_does(
    tmp_path: Path, model: dict[str, object]
) -> None:
    (tmp_path / "toy/MAR-INF").mkdir(parents=True)
    (tmp_path / "toy/MAR-INF/MANIFEST.json").write_text(json.dumps({"model": model}))
    (tmp_path / "toy/h.py").touch()
    imported = archives.read(tmp_path, "toy")
    assert (imported.name, imported.version, imported.handler) == ("toy", "2", "")


def test_only_an_audit_reads_every_byte(tmp_path: Path) -> None:
    path = Made("toy.tar.gz", "toy", "2.0").write(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-8] + bytes(4) + content[-4:])  # the checksum of it all
    assert archives.read(tmp_path, "toy.tar.gz").version == "2.0"
    with pytest.raises(InputError, match="truncated or corrupt"), archive_contents.opened(path):
        pass
