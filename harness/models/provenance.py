"""From which files of this repository an archive was built: a digest that the lock keeps.

It covers what Git has of a model, so that every machine computes the same one: its own files and
those next to it, and what model.yaml says of the archive. What packages and addresses hold is
pinned elsewhere; descriptions, samples and serving settings are in no archive.
"""

import hashlib
import json
from pathlib import Path

from harness.core import files
from harness.models import artifact, source
from harness.models.catalog import Model

_IN_ARCHIVE = {"name", "version", "artifact", "handler", "extra_files", "config"}
_HASHED = 4 << 20  # bytes: of a larger file, which Git rarely has, its size has to do
_DIGITS = 16


def digest(model: Model, folder: Path) -> str:
    """The digest of a model's files in this repository.

    Args:
        model: as model.yaml describes it.
        folder: the model's own.

    Raises:
        InputError: a file that model.yaml names is not there.
    """
    described = model.model_dump(mode="json", include=_IN_ARCHIVE, exclude_defaults=True)
    contents = {
        f"{name}/{inner}": _content(path)
        for name in artifact.sources(model)
        if not source.is_pinned(name, folder) and source.package_of(name) is None
        for inner, path in source.expand(name, folder).files.items()
    }
    state = json.dumps([described, contents], sort_keys=True)
    return hashlib.sha256(state.encode()).hexdigest()[:_DIGITS]


def _content(path: Path) -> str:
    size = path.stat().st_size
    return files.sha256(path) if size <= _HASHED else str(size)
