"""Takes over a model store that was filled by hand: nothing is copied, nothing renamed.

The lock then names the files as they are called there, with the size and SHA-256 that they have.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.core import files
from harness.core.errors import InputError
from harness.models.archive import read_manifest
from harness.models.catalog import Catalog
from harness.models.lock import Lock, LockedModel


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
        InputError: an archive is damaged, two are of one model, or a file name cannot be locked.
    """
    adopted: dict[str, LockedModel] = {}
    skipped = []
    for path in sorted(folder.glob("*.mar")):
        manifest = read_manifest(path)
        name, version = manifest.model_name, manifest.model_version
        model = catalog.models.get(name)
        if not model or model.version != version:
            reason = f"models/{name} is {model.version}" if model else f"there is no models/{name}"
            skipped.append(f"{path.name}: {name} {version}, but {reason}")
        elif name in adopted:
            raise InputError(f"{adopted[name].mar} is {name} {version} too: remove one", at=path)
        else:
            adopted[name] = _locked(path, version)
    return Adopted(Lock(models={**committed.models, **adopted}), tuple(adopted), tuple(skipped))


def _locked(path: Path, version: str) -> LockedModel:
    try:
        return LockedModel(
            version=version,
            mar=path.name,
            sha256=files.sha256(path),
            size=path.stat().st_size,
        )
    except ValidationError as error:
        raise InputError("a file name that cannot be locked: rename it", at=path) from error
