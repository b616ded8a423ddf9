"""Files on disk: written whole or not at all, and read."""

import codecs
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from harness.core.errors import HarnessError

_CHUNK = 1 << 20  # bytes: large enough to hash at disk speed, small against any memory limit


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file next to ``path`` and rename it to ``path`` when the block succeeds.

    Raises:
        HarnessError: the folder cannot be written or the disk is full; ``path`` is untouched.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise HarnessError(
            f"cannot write: {error.strerror or error}",
            at=path,
            hint="make the folder writable or free some disk space, then run the command again",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write(path: Path, content: bytes | str) -> bool:
    """Write ``content`` (text as UTF-8) atomically; leave a file that already holds it alone.

    Returns:
        True if the file changed.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return False
    with replacing(path) as file:
        file.write(data)
    return True


def remove(path: Path) -> None:
    """Remove a file, and its folder if that held nothing else."""
    path.unlink()
    with contextlib.suppress(OSError):  # it holds more
        path.parent.rmdir()


def text_of(content: bytes, errors: str = "strict") -> str:
    """The text of a file that people bring: UTF-8, or UTF-16 as PowerShell writes it.

    Raises:
        UnicodeDecodeError: it is neither, and ``errors`` is strict.
    """
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_wide else "utf-8-sig", errors)


def sha256(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
