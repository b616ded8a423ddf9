"""The archives of somebody's model store: what each says of itself, and its own settings.

A ``.mar`` is a zip; ``.model`` and ``.tar.gz`` are gzipped tars; a folder is an archive that was
not packed. Names and versions that are missing are what TorchServe takes for them (ModelServer,
``ModelManager.createModelArchive`` of 0.12).
"""

import json
import re
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from harness.core.errors import InputError
from harness.models import adopted
from harness.models.archive import MANIFEST

_PACKED = (".mar", ".model", ".tar.gz")
_LARGEST = 1 << 20  # bytes of a manifest, a configuration, a list of requirements

Reader = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive: ``file`` is its name in the store; ``config`` its model-config.yaml."""

    file: str
    path: Path
    name: str
    version: str
    runtime: str = "python"
    handler: str = ""
    config: Mapping[str, object] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()

    def number(self, key: str) -> int:
        """A setting of model-config.yaml that counts: TorchServe takes nothing else for one."""
        node = self.config.get(key)
        return node if isinstance(node, int) and not isinstance(node, bool) and node > 0 else 0


def names(folder: Path) -> list[str]:
    """What ``load_models=all`` loads of a folder."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if not path.name.startswith(".") and (path.is_dir() or path.name.endswith(_PACKED))
    )


def workflows(folder: Path) -> list[str]:
    """The workflow archives of a folder."""
    return sorted(path.name for path in folder.glob("*.war"))


def read(folder: Path, file: str) -> Archive:
    """Read one archive of a folder.

    Raises:
        InputError: it is not there, or cannot be read.
    """
    path = folder / file
    if not path.exists():
        raise InputError(f"no archive {file}", at=folder)
    try:
        if path.is_dir():
            return _archive(file, path, lambda name: _of_folder(path, name))
        if file.endswith(".mar"):
            with zipfile.ZipFile(path) as packed:
                return _archive(file, path, lambda name: _of_zip(packed, name))
        with tarfile.open(path) as tar:
            return _archive(file, path, _of_tar(tar))
    except (OSError, ValueError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise InputError(f"cannot be read: {error}", at=path) from error


def default_name(file: str) -> str:
    """The name that TorchServe gives an archive that has none (``getDefaultModelName``)."""
    last = file.rpartition("/")[2]
    if ".model" in file or ".mar" in file:
        last = last.rpartition(".")[0]
    return re.sub(r"[^A-Za-z0-9_]|^_", "_", last)


def _archive(file: str, path: Path, content: Reader) -> Archive:
    manifest = _mapping(json.loads(content(MANIFEST) or b"{}"))
    model = _mapping(manifest.get("model"))
    config = _yaml(content(str(model["configFile"]))) if model.get("configFile") else {}
    requirements = content(str(model["requirementsFile"])) if model.get("requirementsFile") else b""
    return Archive(
        file=file,
        path=path,
        name=str(model.get("modelName") or default_name(file)),
        version=str(model.get("modelVersion") or "1.0"),
        runtime=str(manifest.get("runtime") or "python"),
        handler=str(model.get("handler") or ""),
        config=config,
        requirements=tuple(
            line.strip()
            for line in (requirements or b"").decode(errors="replace").splitlines()
            if line.strip() and not line.lstrip().startswith("#")
        ),
    )


def config_file(path: Path) -> Mapping[str, object]:
    """A model-config.yaml that lies by itself.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return _yaml(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=path) from error


def _yaml(content: bytes | None) -> Mapping[str, object]:
    # What TorchServe cannot read of it, it logs and leaves out.
    try:
        return _mapping(yaml.safe_load(content or b""))
    except yaml.YAMLError:
        return {}


def _mapping(node: object) -> dict[str, object]:
    return node if isinstance(node, dict) else {}


def _of_folder(folder: Path, name: str) -> bytes | None:
    inner = list(folder.iterdir())
    # An archive may have one folder around all (ModelArchive.downloadModel).
    root = inner[0] if len(inner) == 1 and inner[0].is_dir() else folder
    path = root / name
    return path.read_bytes()[:_LARGEST] if path.is_file() else None


def _of_zip(packed: zipfile.ZipFile, name: str) -> bytes | None:
    try:
        with packed.open(name) as content:
            return content.read(_LARGEST)
    except KeyError:
        return None


def _of_tar(tar: tarfile.TarFile) -> Reader:
    members = {adopted.unpacked_name(each.name): each for each in tar if each.isfile()}

    def content(name: str) -> bytes | None:
        member = members.get(name)
        opened = tar.extractfile(member) if member else None
        return opened.read(_LARGEST) if opened else None

    return content
