"""The lock: which archive each model is, by content.

    # models/lock.yaml
    models:
      silero_vad:
        version: "6.2.3"
        mar: silero_vad-6.2.3-0f3a….mar
        sha256: 0f3a…
        size: 2241536

Two files have this form: ``models/lock.yaml`` is committed and says what the clusters serve;
``build/models/lock.yaml`` says what was built on this machine.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import Field, StringConstraints, model_validator

from harness.core import document, files
from harness.core.document import Strict

UNSET = "UNSET"
"""Stands where a fresh checkout has no value yet: the archive was never built from real weights."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""TorchServe's own rule for a model's name; a version goes into file names, so it obeys it too."""

Name = Annotated[str, StringConstraints(pattern=NAME, max_length=100)]


class LockedModel(Strict):
    """One archive. While ``sha256`` is UNSET, ``size`` (bytes) is 0 and ``mar`` ends in UNSET."""

    version: Name
    mar: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.mar$")]
    sha256: Annotated[str, StringConstraints(pattern=rf"^([0-9a-f]{{64}}|{UNSET})$")]
    size: Annotated[int, Field(ge=0)]

    @property
    def unset(self) -> bool:
        return self.sha256 == UNSET

    @model_validator(mode="after")
    def _size_fits(self) -> Self:
        if self.unset != (self.size == 0):
            raise ValueError(f"size is 0 exactly while sha256 is {UNSET}")
        return self


class Lock(Strict):
    """Every model's archive, by name."""

    models: Mapping[Name, LockedModel] = Field(default_factory=dict)


def mar_name(name: str, version: str, sha256: str) -> str:
    """The file name of an archive, which says what is in it."""
    return f"{name}-{version}-{sha256[:12]}.mar"


def unset(name: str, version: str) -> LockedModel:
    """The entry of a model of which nothing was built that could be served."""
    return LockedModel(version=version, mar=mar_name(name, version, UNSET), sha256=UNSET, size=0)


def to_commit(versions: Mapping[str, str], built: Lock, committed: Lock) -> Lock:
    """The lock to commit: what was built, if its version is the requested one.

    Args:
        versions: each model's version, as its model.yaml names it.
        built: what was built here, perhaps with random weights under another version.
        committed: the lock so far; its entry of a requested version stays.
    """

    def entry(name: str, version: str) -> LockedModel:
        for lock in (built, committed):
            if (locked := lock.models.get(name)) and locked.version == version:
                return locked
        return unset(name, version)

    return Lock(models={name: entry(name, version) for name, version in versions.items()})


def load_lock(path: Path) -> Lock:
    """Read a lock.

    Raises:
        InputError: it is missing, or not of this form.
    """
    return document.load(path, Lock)


def write_lock(path: Path, lock: Lock) -> bool:
    """Write ``lock``, its models sorted by name.

    Returns:
        True if the file changed.
    """
    models = {name: lock.models[name].model_dump() for name in sorted(lock.models)}
    head = "# Written by `harness models`; see harness/models/lock.py.\n"
    body = yaml.safe_dump({"models": models}, sort_keys=False, width=200)
    return files.write(path, head + body)
