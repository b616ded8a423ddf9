"""The model store: every archive is what the lock file says, before TorchServe sees it."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import BadInput

_PIECE = 1 << 20  # bytes read between two looks whether to stop


@dataclass(frozen=True)
class Sample:
    """A request that the model is known to answer well."""

    content_type: str
    body: bytes


@dataclass(frozen=True)
class Archive:
    """A file that the store must hold; ``sample`` is for the model in it."""

    name: str
    sha256: str
    size: int
    sample: Sample | None = None


def read(files: Path, served: Iterable[str]) -> Sequence[Archive]:
    """The archives that ``files`` lists: all those that are ``served``, and no others.

    Raises:
        BadInput: the list cannot be read, or it is not of what is served.
    """
    try:
        archives = [_archive(entry) for entry in json.loads(files.read_text())]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise BadInput(f"{files}: not a list of {{name, sha256, size}}: {what}") from error
    listed, needed = {archive.name for archive in archives}, set(served)
    faults = [f"{files}: {name} is served, but not listed" for name in sorted(needed - listed)]
    faults += [f"{files}: {name} is listed, but not served" for name in sorted(listed - needed)]
    if faults:
        raise BadInput("\n".join([*faults, "config.properties and this list come from one lock"]))
    return archives


def verify(store: Path, archives: Iterable[Archive], stopped: Callable[[], bool]) -> None:
    """Compare size and SHA-256 of each archive; return early, in the middle too, once ``stopped``.

    Raises:
        BadInput: a line for each archive that is not the listed one.
    """
    if faults := [fault for each in archives if (fault := _fault(store, each, stopped))]:
        raise BadInput("\n".join(faults))


def _archive(entry: dict[str, Any]) -> Archive:
    sample = entry.get("sample")
    return Archive(
        entry["name"],
        entry["sha256"],
        entry["size"],
        sample and Sample(sample["contentType"], base64.b64decode(sample["body"], validate=True)),
    )


def _fault(store: Path, archive: Archive, stopped: Callable[[], bool]) -> str | None:
    path, digest = store / archive.name, hashlib.sha256()
    try:
        if (size := path.stat().st_size) != archive.size:
            return f"{path}: {size} bytes where {archive.size} are expected"
        for piece in _pieces(path):
            if stopped():
                return None
            digest.update(piece)
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    if digest.hexdigest() != archive.sha256:
        return f"{path}: sha256 {digest.hexdigest()} where {archive.sha256} is expected"
    return None


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
