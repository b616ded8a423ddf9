"""The classes of a JAR, each with the SHA-256 of its bytes."""

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.core.errors import InputError

_SUFFIX = ".class"
# Where several libraries were merged into one JAR, it has one of their descriptors at most.
_DESCRIPTOR = "module-info.class"
_SMALL = 1 << 16  # bytes: what describes a JAR is text; a native library is not


def digests_of(jar: Path) -> dict[str, str]:
    """Name, such as ``io/netty/buffer/ByteBuf``, to SHA-256 in hexadecimal.

    Raises:
        InputError: it is not a JAR that can be read to its end, or contains a class twice.
    """
    digests: dict[str, str] = {}
    try:
        with zipfile.ZipFile(jar) as archive:
            for entry in archive.infolist():
                name = entry.filename
                if name.endswith(_SUFFIX) and not name.endswith(_DESCRIPTOR):
                    if name.removesuffix(_SUFFIX) in digests:
                        raise InputError(f"duplicate class {name}", at=jar)
                    digest = hashlib.sha256(archive.read(entry)).hexdigest()
                    digests[name.removesuffix(_SUFFIX)] = digest
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InputError(f"is not a JAR that can be read: {error}", at=jar) from error
    return digests


def fingerprint(classes: Mapping[str, str], names: Iterable[str]) -> str:
    """SHA-256 over these classes' names and digests, whatever their order."""
    lines = "".join(f"{name} {classes[name]}\n" for name in sorted(names))
    return hashlib.sha256(lines.encode()).hexdigest()


def resources(jar: Path, folder: str) -> dict[str, str]:
    """Name to text of the small files below a folder of the JAR, such as ``META-INF/``."""
    with zipfile.ZipFile(jar) as archive:
        return {
            entry.filename: archive.read(entry).decode("latin-1")
            for entry in archive.infolist()
            if entry.filename.startswith(folder) and entry.file_size < _SMALL
        }
