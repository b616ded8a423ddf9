"""An archive that somebody else made, in any form that TorchServe 0.12 serves: a MAR, a .tar.gz (by
any other name, too) or a folder.

A MAR that the store can hold is served as it is, under its own name. Anything else is repacked as a
canonical MAR, which TorchServe unpacks to the same files. The store, the sync Job, both garbage
collections and the lock therefore know one kind of file.

Source: org.pytorch.serve.archive.model.ModelArchive and utils.ZipUtils of TorchServe 0.12.
"""

import contextlib
import gzip
import hashlib
import json
import shutil
import tarfile
import zlib
from collections.abc import Container, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from harness.core import files
from harness.core.errors import InputError
from harness.models import archive, source
from harness.models.archive import MANIFEST, Entry, Manifest, parse_manifest
from harness.models.catalog import Adopted, Model
from harness.models.lock import is_file_name

DEFAULT_VERSION = "1.0"
"""What TorchServe serves an archive as that names no version."""

_HANDLER = (
    "write `handler:` into model.yaml: a file of the archive (handler.py), or one of TorchServe's "
    "own (image_classifier)"
)


def locate(model: Model, adopted: Adopted, folder: Path) -> tuple[str, Path]:
    """The name of an adopted archive or folder, and where it lies.

    Raises:
        InputError: it is not the one with the SHA-256 that model.yaml names.
        HarnessError: it has to be fetched first.
    """
    if adopted.is_remote:
        name, path = source.file(adopted.archive, folder)  # its copy is named by its content
    else:
        path = folder / adopted.archive
        name = path.name
    if adopted.sha256 and path.is_file() and (actual := files.sha256(path)) != adopted.sha256:
        raise InputError(
            f"{adopted.archive} has sha256 {actual}, not {adopted.sha256}",
            at=source.mention("sha256:", folder / "model.yaml"),
            hint=f"somebody replaced it: look at it (`harness models audit {model.name}`), then "
            "write down its new digest, or get the old file back",
        )
    return name, path


def digest(path: Path) -> str:
    """SHA-256 of an archive, or of the names and contents of a folder's files."""
    if path.is_file():
        return files.sha256(path)
    lines = [f"{each.name} {each.sha256()}\n" for each in folder_entries(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def store(model: Model, name: str, path: Path, work: Path, target: IO[bytes]) -> str | None:
    """Write to ``target`` what the model store gets of the archive at ``path``.

    Args:
        model: what model.yaml says of it.
        name: its file name, which says what it is.
        path: where it lies.
        work: a folder, not there yet, for what has to be unpacked.
        target: an open file.

    Returns:
        The file name that it keeps, or None if it was repacked and is named by its content.

    Raises:
        InputError: it is damaged, or is not what model.yaml says.
    """
    with entries(path, work, name) as unpacked:
        manifest = manifest_of(unpacked, path)
        _confirm_version(model, manifest, path)
        if path.is_file() and is_file_name(name) and manifest.handler and not model.handler:
            with path.open("rb") as file:
                shutil.copyfileobj(file, target)
            return name
        archive.write(_with_manifest(model, unpacked, path), target)
    return None


@contextlib.contextmanager
def entries(path: Path, work: Path, name: str = "") -> Iterator[list[Entry]]:
    """The files of an archive or folder, as TorchServe unpacks them; readable inside the block.

    Args:
        path: where it lies.
        work: a folder, not there yet, for what has to be unpacked.
        name: its file name, if it lies under another one.

    Raises:
        InputError: it is damaged, or has a file that would lie outside of it.
    """
    if path.is_dir():
        yield folder_entries(path)
    elif (name or path.name).endswith(".mar"):
        with archive.opened(path) as packed:
            unpacked = archive.entries(packed)
            for each in unpacked:
                confirm_inside(each.name, path)
            yield unpacked
    else:
        _unpack_tar(path, work)
        yield folder_entries(work, nested=False)


def folder_entries(folder: Path, *, nested: bool = True) -> list[Entry]:
    """The files of a folder; of one that holds nothing but a folder, that one's."""
    children = list(folder.iterdir())
    if nested and len(children) == 1 and children[0].is_dir():
        folder = children[0]
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [archive.file_entry(path.relative_to(folder).as_posix(), path) for path in paths]


def manifest_of(unpacked: list[Entry], path: Path) -> Manifest:
    """The manifest among an archive's files; without one, TorchServe's defaults.

    Raises:
        InputError: it is not a manifest.
    """
    manifest = next((each for each in unpacked if each.name == MANIFEST), None)
    return parse_manifest(manifest, path) if manifest else Manifest()


def _with_manifest(model: Model, unpacked: list[Entry], path: Path) -> list[Entry]:
    """The files, the manifest with the name, version and handler that the model is served with."""
    handler = model.handler or manifest_of(unpacked, path).handler
    names = {each.name for each in unpacked}
    if not handler:
        raise InputError(_without_handler(names), at=path, hint=_HANDLER)
    if handler.endswith(".py") and handler not in names:
        raise InputError(f"handler {handler} is not in the archive", at=path)
    content: dict[str, Any] = {"runtime": "python"}
    for each in unpacked:
        if each.name == MANIFEST:
            with each.open() as file:
                content |= json.loads(file.read())
    described = {"modelName": model.name, "modelVersion": model.version, "handler": handler}
    content["model"] = {**content.get("model", {}), **described}
    others = [each for each in unpacked if each.name != MANIFEST]
    return [*others, archive.text_entry(MANIFEST, json.dumps(content).encode())]


def _without_handler(names: Container[str]) -> str:
    if PurePosixPath(MANIFEST).name in names:
        return (
            f"{MANIFEST} is not where TorchServe looks: it drops the first folder of each name in "
            "a .tar.gz, and this one has none at its top"
        )
    return "its manifest names no handler: TorchServe would take default_service_handler"


def _confirm_version(model: Model, manifest: Manifest, path: Path) -> None:
    # Not its name: TorchServe serves it under the one that its configuration gives it.
    version = manifest.model_version or DEFAULT_VERSION
    if version != model.version:
        raise InputError(
            f"it is version {version}, model.yaml expects {model.version}",
            at=path,
            hint=f'TorchServe serves it as what it says of itself: write `version: "{version}"`',
        )


def unpacked_name(member: str) -> str:
    """Where TorchServe puts a member of a .tar.gz: it drops the first folder of each name."""
    return member.partition("/")[2] or member


def _unpack_tar(path: Path, work: Path) -> None:
    """Unpack as TorchServe does: files only."""
    work.mkdir(parents=True)
    with (
        refuse_damaged(path),
        gzip.open(path) as plain,
        tarfile.open(fileobj=plain, mode="r|") as packed,
    ):
        for member in packed:
            name = unpacked_name(member.name)
            confirm_inside(name, path)
            if member.isdir():
                continue
            target = work / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                # A link becomes an empty file: TorchServe makes no links either.
                if content := packed.extractfile(member) if member.isfile() else None:
                    shutil.copyfileobj(content, file)
        while plain.read(1 << 20):  # to its end, where its checksum is
            pass


@contextlib.contextmanager
def refuse_damaged(path: Path) -> Iterator[None]:
    """Read the .tar.gz at ``path`` in the block.

    Raises:
        InputError: it is missing, truncated or corrupt.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise InputError("no such archive", at=path) from error
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise InputError(
            f"truncated or corrupt: {error}",
            at=path,
            hint="TorchServe reads what is not called .mar as a .tar.gz",
        ) from error


def confirm_inside(name: str, path: Path) -> None:
    """Refuse a file of an archive that would lie outside the folder that it is unpacked into.

    Raises:
        InputError: it would.
    """
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise InputError(
            f"{name} would lie outside the unpacked archive",
            at=path,
            hint="TorchServe refuses it too: pack it again, without that file",
        )
