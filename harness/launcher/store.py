"""The model store: every archive is what the lock file says, before TorchServe sees it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .failure import BadInput

_CHUNK = 1 << 20  # bytes: hashes at disk speed, small beside any memory limit


@dataclass(frozen=True)
class ModelFile:
    """A file that must lie in the store: its name there, SHA-256 in hex, size in bytes."""

    name: str
    sha256: str
    size: int


def read_list(path: Path) -> list[ModelFile]:
    """The files that ``path`` names: a JSON list of ``{"name", "sha256", "size"}``.

    Raises:
        BadInput: it cannot be read, or is something else.
    """
    try:
        entries = json.loads(path.read_text())
        return [
            ModelFile(str(entry["name"]), str(entry["sha256"]), int(entry["size"]))
            for entry in entries
        ]
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path}: not a list of {{name, sha256, size}}: {type(error).__name__}: {error}"
        ) from error


def verify(store: Path, files: Sequence[ModelFile]) -> None:
    """Compare each file's size and SHA-256.

    Raises:
        BadInput: one line for each file that is missing, unreadable or different.
    """
    problems = [problem for file in files if (problem := _problem(store / file.name, file))]
    if problems:
        raise BadInput("\n".join(problems))


def _problem(path: Path, file: ModelFile) -> str | None:
    try:
        size = path.stat().st_size
        if size != file.size:
            return f"{path}: {size} bytes where {file.size} are expected: not the locked file"
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    if digest.hexdigest() != file.sha256:
        return f"{path}: sha256 {digest.hexdigest()} where {file.sha256} is expected"
    return None
