"""The model archive (MAR): a zip of the model's files with MAR-INF/MANIFEST.json.

torch-model-archiver validates, writes the manifest and decides which file goes where; ``write``
makes the bytes depend on nothing but the content: entries sorted, times, modes and the manifest's
date fixed, nothing compressed (weights hardly shrink, and another zlib would write other bytes).
The archiver gets stand-ins: of weights of any size one copy is made, a piece at a time.
"""

import contextlib
import hashlib
import io
import json
import shutil
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.core import command
from harness.core.errors import HarnessError, InputError

MANIFEST = "MAR-INF/MANIFEST.json"
_ARCHIVER_TIMEOUT = 600.0  # s: it packs names only, but the machine may be busy
_CHUNK = 1 << 20  # bytes: what is in memory of a file, however large it is
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can hold
_CREATED_ON = "01/01/1980 00:00:00"
_FILE_MODE = 0o100644 << 16
_MANIFEST_BYTES = 1 << 20  # a real one has a few hundred bytes
# Weights hardly shrink, text to a tenth. What is small may be anything: tables of zeros, say.
_UNPACKED_TIMES = 100
_UNPACKED_BYTES = 64 << 20
_UNIX = 3  # zip's number for the system that made the entry
_REBUILD = "build it again: `harness models build`"


class Manifest(BaseModel):
    """What an archive says about itself; what we do not use of it may be anything.

    Empty is what it does not say: TorchServe serves it under the name that its configuration gives
    it, as version 1.0, by ``default_service_handler``.
    """

    # TorchServe's parser takes a number for a text, too.
    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True)

    model_name: str = Field("", alias="modelName")
    model_version: str = Field("", alias="modelVersion")
    handler: str = ""
    serialized_file: str | None = Field(None, alias="serializedFile")
    model_file: str | None = Field(None, alias="modelFile")
    config_file: str | None = Field(None, alias="configFile")
    requirements_file: str | None = Field(None, alias="requirementsFile")


def read_manifest(mar: Path) -> Manifest:
    """Read an archive's manifest, and every byte of the archive.

    Raises:
        InputError: it is missing, truncated, corrupt, or its manifest is none.
    """
    with opened(mar) as packed:
        members = {each.name: each for each in entries(packed)}
        if MANIFEST not in members:
            raise InputError(f"{MANIFEST} is missing or not a manifest", at=mar, hint=_REBUILD)
        return parse_manifest(members[MANIFEST], mar)


def parse_manifest(manifest: "Entry", path: Path) -> Manifest:
    """The manifest of the archive at ``path``.

    Raises:
        InputError: it is none.
    """
    if manifest.size > _MANIFEST_BYTES:
        raise InputError(f"{MANIFEST} is larger than 1 MiB", at=path, hint=_REBUILD)
    try:
        with manifest.open() as file:
            model = json.loads(file.read())["model"]
        return Manifest.model_validate({k: v for k, v in model.items() if v is not None})
    except (AttributeError, KeyError, TypeError, ValidationError, ValueError) as error:
        message = f"{MANIFEST} is missing or not a manifest"
        raise InputError(message, at=path, hint=_REBUILD) from error


@contextlib.contextmanager
def opened(mar: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, of which every byte was read and is right.

    Raises:
        InputError: it is missing, truncated, corrupt or encrypted, or would fill the disk.
    """
    try:
        packed = unpackable(mar)
        if damaged := packed.testzip():
            raise InputError(f"corrupt: {damaged} does not fit its checksum", at=mar, hint=_REBUILD)
    except FileNotFoundError as error:
        raise InputError("no such archive", at=mar, hint=_REBUILD) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise InputError(f"truncated or corrupt: {error}", at=mar, hint=_REBUILD) from error
    except RuntimeError as error:  # "… is encrypted, password required for extraction"
        raise InputError(str(error), at=mar, hint=_REBUILD) from error
    with packed:
        yield packed


def unpackable(mar: Path) -> zipfile.ZipFile:
    """The archive, opened, if it unpacks to no more than weights could have been packed into it.

    Raises:
        InputError: it is a few megabytes here and would fill the disk.
        zipfile.BadZipFile, OSError: it cannot be read.
    """
    archive = zipfile.ZipFile(mar)
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > max(_UNPACKED_BYTES, _UNPACKED_TIMES * mar.stat().st_size):
        archive.close()
        raise InputError(
            f"would unpack to {unpacked >> 20:,} MiB, {_UNPACKED_TIMES} times its own size or more",
            at=mar,
            hint="nothing that a model is made of shrinks like that: where does it come from?",
        )
    return archive


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into an archive. All paths lie in the folder ``staging``.

    What lies in its folder ``root``, if it has one, lies in the archive as it lies there.
    """

    name: str
    version: str
    handler: str  # a file of the staging folder (file.py, or file:function), or TorchServe's own
    staging: Path
    serialized: Path | None
    code: Path | None
    config: Path | None
    note: str  # what whoever serves this must know


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of an archive: its path in there, its size in bytes, and how to read it."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]

    def sha256(self) -> str:
        """Its SHA-256 as 64 hexadecimal digits."""
        with self.open() as file:
            digest = hashlib.sha256()
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()


def pack(contents: Contents, target: IO[bytes]) -> None:
    """Write the archive of ``contents`` to ``target``, in its canonical form.

    Raises:
        HarnessError: torch-model-archiver refuses them, or the disk is full.
    """
    staging = contents.staging
    with zipfile.ZipFile(_outline(contents)) as outline:
        manifest = outline.read(MANIFEST)
        paths = {
            name: staging / outline.read(name).decode()
            for name in outline.namelist()
            if name != MANIFEST
        }
    packed = [file_entry(name, path) for name, path in paths.items()]
    write([*packed, text_entry(MANIFEST, manifest)], target)


def repack(source: Path, target: IO[bytes]) -> None:
    """Write the archive ``source`` to ``target`` in its canonical form."""
    with zipfile.ZipFile(source) as packed:
        write(entries(packed), target)


def entries(packed: zipfile.ZipFile) -> list[Entry]:
    """The files of a zip; of two with one name the later one, as TorchServe unpacks them."""
    members = {each.filename: each for each in packed.infolist() if not each.is_dir()}
    return [
        Entry(name, each.file_size, partial(packed.open, each)) for name, each in members.items()
    ]


def write(files: Iterable[Entry], target: IO[bytes]) -> None:
    """Write files to ``target`` as a canonical archive, a piece at a time."""
    with zipfile.ZipFile(target, "w") as canonical:
        for file in sorted(files, key=lambda each: each.name):
            each = _dateless(file) if file.name == MANIFEST else file
            header = zipfile.ZipInfo(each.name, _EPOCH)
            header.external_attr = _FILE_MODE
            header.create_system = _UNIX
            header.file_size = each.size  # 2 GiB and more need another header, which comes first
            with each.open() as content, canonical.open(header, "w") as packed:
                shutil.copyfileobj(content, packed, _CHUNK)


def _outline(contents: Contents) -> Path:
    """What torch-model-archiver makes of stand-ins: each file's content is its path in staging."""
    staging = contents.staging
    stand_ins = staging / "stand-ins"
    for path in [each for each in staging.rglob("*") if each.is_file()]:
        stand_in = stand_ins / path.relative_to(staging)
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.write_text(str(path.relative_to(staging)))
    # Relative paths: the archiver splits at commas and expands brackets.
    options = {
        "--model-name": contents.name,
        "--version": contents.version,
        "--handler": contents.handler,
        "--serialized-file": contents.serialized and contents.serialized.name,
        "--model-file": contents.code and contents.code.name,
        "--config-file": contents.config and contents.config.name,
        "--extra-files": "root" if (staging / "root").is_dir() else None,
        "--export-path": ".",
    }
    words = [word for option, value in options.items() if value for word in (option, value)]
    (stand_ins / "tmp").mkdir()
    packed = command.run(
        [sys.executable, "-m", "model_archiver.model_packaging", *words],
        timeout=_ARCHIVER_TIMEOUT,
        cwd=stand_ins,
        # The archiver empties and removes $TMPDIR/<model name>, whoever made it.
        env={"TMPDIR": str(stand_ins / "tmp")},
        accept=(0, 1),
    )
    if packed.returncode:
        reason = packed.stderr.strip().rpartition("\n")[2]  # of a traceback, what it is about
        raise HarnessError(
            f"torch-model-archiver could not pack {contents.name}: {reason}",
            hint="fix that, or free some disk space, then run the command again",
        )
    return stand_ins / f"{contents.name}.mar"


def file_entry(name: str, path: Path) -> Entry:
    """A file on disk, by its path in the archive."""

    def open_file() -> IO[bytes]:
        return path.open("rb")

    return Entry(name, path.stat().st_size, open_file)


def text_entry(name: str, content: bytes) -> Entry:
    """A file of an archive that lies nowhere yet."""
    return Entry(name, len(content), partial(io.BytesIO, content))


def _dateless(manifest: Entry) -> Entry:
    with manifest.open() as file:
        content = json.loads(file.read()) | {"createdOn": _CREATED_ON}
    return text_entry(MANIFEST, json.dumps(content, indent=2).encode())
