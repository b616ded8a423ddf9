"""Takes over a model store that was filled by hand: nothing is copied, nothing renamed.

The lock then names the files as they are called there, with the size and SHA-256 that they have.
"""

from dataclasses import dataclass
from pathlib import Path

from harness.core import files
from harness.core.errors import InputError
from harness.models.adopted import DEFAULT_VERSION
from harness.models.archive import MANIFEST, read_manifest
from harness.models.catalog import Catalog
from harness.models.lock import Lock, LockedModel, is_file_name

_TO_REPACK = (
    "{}: the store holds files called *.mar, of letters, digits and . _ - : copy it to its model's "
    "folder in models/, name it there (artifact.adopted.archive), and `harness models build` "
    "repacks it"
)


@dataclass(frozen=True, slots=True)
class Adopted:
    """The lock, what it took over, and a line for each archive that it could not."""

    lock: Lock
    names: tuple[str, ...]
    skipped: tuple[str, ...]


def adopt(folder: Path, catalog: Catalog, committed: Lock) -> Adopted:
    """Read every archive of ``folder`` and lock those that the catalog wants.

    Args:
        folder: the old store, mounted or copied; it is only read.
        catalog: the models that there are; an archive of another version is left alone.
        committed: the lock so far; models that are not in the folder keep their entry.

    Raises:
        InputError: an archive is damaged, or two are of one model.
    """
    adopted: dict[str, LockedModel] = {}
    skipped = []
    for path in sorted(folder.iterdir()):
        if not _is_archive(path):
            continue
        if not (path.is_file() and is_file_name(path.name)):
            skipped.append(_TO_REPACK.format(path.name))
            continue
        manifest = read_manifest(path)
        version = manifest.model_version or DEFAULT_VERSION
        name = _name(path, catalog) or manifest.model_name
        model = catalog.models.get(name)
        if not model or model.version != version:
            reason = f"models/{name} is {model.version}" if model else f"there is no models/{name}"
            skipped.append(f"{path.name}: {name} {version}, but {reason}")
        elif name in adopted:
            raise InputError(f"{adopted[name].mar} is {name} {version} too: remove one", at=path)
        else:
            sha256, size = files.sha256(path), path.stat().st_size
            adopted[name] = LockedModel(version=version, mar=path.name, sha256=sha256, size=size)
    return Adopted(Lock(models={**committed.models, **adopted}), tuple(adopted), tuple(skipped))


def _is_archive(path: Path) -> bool:
    """Whether TorchServe would load it, if it was named ``all``."""
    return path.name.endswith((".mar", ".tar.gz", ".tgz", ".model")) or (path / MANIFEST).is_file()


def _name(path: Path, catalog: Catalog) -> str | None:
    """The model whose model.yaml names this file: TorchServe serves it under that name."""
    for name, model in catalog.models.items():
        archive = model.artifact.adopted
        if archive and archive.archive == path.name:
            return name
    return None
