"""What each address in a model.yaml held: its files, pinned by SHA-256.

    # models/sources.lock.yaml, written by `harness models lock`
    sources:
      hf://owner/name@main/model.safetensors:
        revision: 0f3a…            # what the server called this state of it, if it says so
        license: apache-2.0        # what the hub says
        files:
          model.safetensors: {sha256: 0f3a…, size: 90868376}

What was fetched here and is pinned by nobody yet stands in build/models/sources.lock.yaml. The
files themselves lie in the user's cache folder, by their SHA-256, so that they are fetched once.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field

from harness.core import document, files, user_cache
from harness.core.document import Strict
from harness.core.form import Sha256
from harness.core.repository import Repository

NAME = "sources.lock.yaml"


class PinnedFile(Strict):
    """One file, by content."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0)]


class Pin(Strict):
    """What a source held."""

    revision: str = ""
    license: str = ""
    is_folder: bool = False
    files: Annotated[Mapping[str, PinnedFile], Field(min_length=1)]


class Pins(Strict):
    """Every pinned source."""

    sources: Mapping[str, Pin] = Field(default_factory=dict)


def load(models: Path) -> Mapping[str, Pin]:
    """The pins of a repository's ``models`` folder; a committed one wins over one made here.

    Raises:
        InputError: a file of pins cannot be read.
    """
    return {**read(made_here(models)), **read(models / NAME)}


def committed_pins(models: Path) -> Mapping[str, Pin]:
    """The pins in Git."""
    return read(models / NAME)


def made_here(models: Path) -> Path:
    """The file of pins that are not committed."""
    return Repository(models.parent).built_models / NAME


def write(path: Path, sources: Mapping[str, Pin]) -> bool:
    """Write pins, sorted; without any the file is removed.

    Returns:
        True if the file changed.
    """
    if not sources:
        existed = path.is_file()
        path.unlink(missing_ok=True)
        return existed
    ordered = {name: sources[name].model_dump(exclude_defaults=True) for name in sorted(sources)}
    head = "# Written by `harness models lock`; see harness/models/pins.py.\n"
    return files.write(
        path, head + yaml.safe_dump({"sources": ordered}, sort_keys=False, width=200)
    )


def commit(models: Path, used: Collection[str]) -> bool:
    """Write the pins of the sources that models use into the committed file, and no others.

    Returns:
        True if the file changed.
    """
    known = load(models)
    return write(models / NAME, {text: known[text] for text in used if text in known})


def cache_path(file: PinnedFile) -> Path:
    """Where the bytes of a pinned file lie once they have been fetched."""
    return user_cache.folder() / f"weights-{file.sha256}"


def read(path: Path) -> Mapping[str, Pin]:
    """The pins of one file; none without it."""
    return document.load(path, Pins).sources if path.is_file() else {}
