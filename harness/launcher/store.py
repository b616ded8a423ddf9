"""The model store: every archive is what the lock file says, before TorchServe sees it."""

import hashlib
import json
from pathlib import Path

from . import BadInput


def verify(store: Path, files: Path) -> int:
    """Compare size and SHA-256 of each file that ``files`` lists, and return how many there are.

    Raises:
        BadInput: the list cannot be read, or a line for each archive that is not the listed one.
    """
    try:
        wanted = [(f["name"], f["sha256"], f["size"]) for f in json.loads(files.read_text())]
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise BadInput(f"{files}: not a list of {{name, sha256, size}}: {what}") from error
    if faults := [fault for name, *file in wanted if (fault := _fault(store / name, *file))]:
        raise BadInput("\n".join(faults))
    return len(wanted)


def _fault(path: Path, sha256: str, size: int) -> str | None:
    try:
        if (found := path.stat().st_size) != size:
            return f"{path}: {found} bytes where {size} are expected"
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    return None if digest == sha256 else f"{path}: sha256 {digest} where {sha256} is expected"
