"""The model archive (MAR): a zip of the model's files with MAR-INF/MANIFEST.json.

torch-model-archiver validates and packs; ``repack`` then makes the bytes depend on nothing but
the content: entries sorted, times, modes and the manifest's date fixed, nothing compressed
(weights hardly shrink, and another zlib would write other bytes).
"""

import json
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.core import command
from harness.core.errors import HarnessError, InputError

MANIFEST = "MAR-INF/MANIFEST.json"
_ARCHIVER_TIMEOUT = 600.0  # s: gigabytes of weights, copied twice
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can hold
_CREATED_ON = "01/01/1980 00:00:00"
_FILE_MODE = 0o100644 << 16
_MANIFEST_BYTES = 1 << 20  # a real one has a few hundred bytes
# Weights hardly shrink, text to a tenth. What is small may be anything: tables of zeros, say.
_UNPACKED_TIMES = 100
_UNPACKED_BYTES = 64 << 20
_UNIX = 3  # zip's number for the system that made the entry


class Manifest(BaseModel):
    """What an archive says about itself; what we do not use of it may be anything."""

    model_config = ConfigDict(frozen=True, strict=True)

    model_name: str = Field(alias="modelName", min_length=1)
    model_version: str = Field(alias="modelVersion", min_length=1)
    handler: str = Field(min_length=1)
    serialized_file: str | None = Field(None, alias="serializedFile")
    model_file: str | None = Field(None, alias="modelFile")
    config_file: str | None = Field(None, alias="configFile")


def read_manifest(mar: Path) -> Manifest:
    """Read an archive's manifest, and every byte of the archive.

    Raises:
        InputError: it is missing, truncated, corrupt, or its manifest is none.
    """
    hint = "build it again: `harness models build`"
    try:
        with unpackable(mar) as archive:
            if damaged := archive.testzip():
                raise InputError(f"corrupt: {damaged} does not fit its checksum", at=mar, hint=hint)
            if archive.getinfo(MANIFEST).file_size > _MANIFEST_BYTES:
                raise InputError(f"{MANIFEST} is larger than 1 MiB", at=mar, hint=hint)
            manifest = json.loads(archive.read(MANIFEST))
            return Manifest.model_validate(manifest["model"])
    except FileNotFoundError as error:
        raise InputError("no such archive", at=mar, hint=hint) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise InputError(f"truncated or corrupt: {error}", at=mar, hint=hint) from error
    except RuntimeError as error:  # "… is encrypted, password required for extraction"
        raise InputError(str(error), at=mar, hint=hint) from error
    except (KeyError, TypeError, ValidationError, ValueError) as error:
        raise InputError(f"{MANIFEST} is missing or not a manifest", at=mar, hint=hint) from error


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
    """What goes into an archive. All paths lie in one staging folder."""

    name: str
    version: str
    handler: str  # a file of the staging folder, or the name of one of TorchServe's own
    serialized: Path
    code: Path | None
    config: Path | None
    root: Path  # a folder whose files lie in the archive as they lie in it; it need not exist
    note: str  # what whoever serves this must know


def pack(contents: Contents, target: IO[bytes]) -> None:
    """Write the archive of ``contents`` to ``target``, in its canonical form.

    Raises:
        HarnessError: torch-model-archiver refuses them, or the disk is full.
    """
    staging = contents.serialized.parent
    # Relative paths: the archiver splits at commas and expands brackets.
    options = {
        "--model-name": contents.name,
        "--version": contents.version,
        "--handler": contents.handler,
        "--serialized-file": contents.serialized.name,
        "--model-file": contents.code and contents.code.name,
        "--config-file": contents.config and contents.config.name,
        "--extra-files": contents.root.name if contents.root.is_dir() else None,
        "--export-path": ".",
    }
    words = [word for option, value in options.items() if value for word in (option, value)]
    (staging / "tmp").mkdir()
    packed = command.run(
        [sys.executable, "-m", "model_archiver.model_packaging", *words],
        timeout=_ARCHIVER_TIMEOUT,
        cwd=staging,
        # The archiver empties and removes $TMPDIR/<model name>, whoever made it.
        env={"TMPDIR": str(staging / "tmp")},
        accept=(0, 1),
    )
    if packed.returncode:
        reason = packed.stderr.strip().rpartition("\n")[2]  # of a traceback, what it is about
        raise HarnessError(
            f"torch-model-archiver could not pack {contents.name}: {reason}",
            hint="mend that, or free some disk space, then run the command again",
        )
    repack(staging / f"{contents.name}.mar", target)


def repack(source: Path, target: IO[bytes]) -> None:
    """Write the archive ``source`` to ``target`` in its canonical form."""
    with zipfile.ZipFile(source) as packed, zipfile.ZipFile(target, "w") as canonical:
        for name in sorted(packed.namelist()):
            if not name.endswith("/"):
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.external_attr = _FILE_MODE
                entry.create_system = _UNIX
                content = packed.read(name)
                canonical.writestr(entry, _dateless(content) if name == MANIFEST else content)


def _dateless(manifest: bytes) -> bytes:
    return json.dumps(json.loads(manifest) | {"createdOn": _CREATED_ON}, indent=2).encode()
