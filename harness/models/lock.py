"""The lock: which archive each model is, by content.

    # models/lock.yaml
    models:
      silero_vad:
        version: "6.2.3"
        mar: silero_vad-6.2.3-0f3a….mar
        sha256: 0f3a…
        size: 2241536
        sources: 7c1d…         # of what Git has of it (harness.models.provenance)
        check: 51f0a2c7        # of the lines above: what was changed by hand is refused
        others:                    # versions that can be served with it, if there are any
        - version: "6.2.2"
          mar: silero_vad-6.2.2-91bc….mar
          …

Two files have this form: ``models/lock.yaml`` is committed and says what the clusters serve;
``build/models/lock.yaml`` says what was built on this machine.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from harness.core import document, files
from harness.core.document import Strict
from harness.core.errors import InputError
from harness.core.form import Form
from harness.core.problem import Problem
from harness.core.values import mapping
from harness.core.values import text as text_at

UNSET = "UNSET"
"""Stands where a fresh checkout has no value yet: the archive was never built from real weights."""

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
"""torch-model-archiver's own rule for a model's name."""

_SOURCES, _CHECK = "sources", "check"  # keys of an entry about itself

Name = Annotated[
    str,
    Form(
        NAME,
        "a name for a model: letters, digits and . _ - alone, 100 at most",
        longest=100,
    ),
]

_VERSION = re.compile(r"[\w:+@=,~!-][\w.:+@=,~!-]*", re.ASCII)
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.mar")


def _is_version(text: str) -> str:
    if not _VERSION.fullmatch(text):
        raise ValueError(
            f"{text!r} cannot be a version: it is part of a URL, of the log's lines and of "
            "config.properties, so that it has letters, digits and . _ - : + @ = , ~ ! alone"
        )
    return text


def _is_file_name(text: str) -> str:
    if not is_file_name(text):
        raise ValueError(
            f"{text!r} cannot be the name of an archive in the model store: it ends in .mar, and "
            "has letters, digits and . _ - alone. `harness models build` repacks what is called "
            "otherwise"
        )
    return text


def is_file_name(text: str) -> bool:
    """Whether the model store can hold a file of this name."""
    return _FILE_NAME.fullmatch(text) is not None


Version = Annotated[
    str, StringConstraints(min_length=1, max_length=100), AfterValidator(_is_version)
]
"""TorchServe takes any text; most that people write passes: ``2024-03-20-18:11``, ``1.0+cu121``."""

FileName = Annotated[str, AfterValidator(_is_file_name)]


class LockedModel(Strict):
    """One archive. While ``sha256`` is UNSET, ``size`` (bytes) is 0 and ``mar`` ends in UNSET.

    Attributes:
        version: of the archive.
        mar: its file name in the model store.
        sha256: of its content.
        size: of it, in bytes.
        others: the archives of versions that can be served with this one.
    """

    @model_validator(mode="before")
    @classmethod
    def _without_marks(cls, keys: Any) -> Any:
        """What the file says of the entry itself: ``load_lock`` and the check have read it."""
        if not isinstance(keys, dict):
            return keys
        entry = {key: each for key, each in keys.items() if key not in (_CHECK, _SOURCES)}
        if isinstance(entry.get("others"), list):
            entry["others"] = tuple(entry["others"])
        return entry

    version: Version
    mar: FileName
    sha256: Annotated[str, Form(rf"[0-9a-f]{{64}}|{UNSET}", "a SHA-256: 64 digits of 0-9, a-f")]
    size: Annotated[int, Field(ge=0)]
    others: tuple["LockedModel", ...] = ()

    @property
    def unset(self) -> bool:
        return self.sha256 == UNSET

    @model_validator(mode="after")
    def _size_fits(self) -> Self:
        if self.unset != (self.size == 0):
            raise ValueError(f"size is 0 exactly while sha256 is {UNSET}")
        return self

    @model_validator(mode="after")
    def _versions_differ(self) -> Self:
        versions = [self.version, *(each.version for each in self.others)]
        if len(set(versions)) != len(versions):
            raise ValueError("two archives of one version")
        return self

    def of_version(self, version: str) -> "LockedModel | None":
        """The archive of a version, its own or another."""
        return next((each for each in (self, *self.others) if each.version == version), None)


class Lock(Strict):
    """Every model's archive, by name."""

    models: Mapping[Name, LockedModel] = Field(default_factory=dict)

    def archives(self) -> Iterator[tuple[str, LockedModel]]:
        """Every archive, with the name of its model: of each version."""
        for name, locked in self.models.items():
            for each in (locked, *locked.others):
                yield name, each

    def archive(self, name: str, version: str) -> LockedModel | None:
        """The archive of a version of a model, without the others."""
        locked = self.models.get(name)
        archive = locked.of_version(version) if locked else None
        return archive.model_copy(update={"others": ()}) if archive else None


def mar_name(name: str, version: str, sha256: str) -> str:
    """The file name of an archive, which says what is in it."""
    return f"{name}-{re.sub(r'[^A-Za-z0-9_.-]', '-', version)}-{sha256[:12]}.mar"


def unset(name: str, version: str, archive: str = "") -> LockedModel:
    """The entry of a model of which nothing was built that could be served.

    Args:
        name: the model.
        version: of it.
        archive: the file name of an archive that keeps its name, if the store can hold it.
    """
    mar = archive if is_file_name(archive) else mar_name(name, version, UNSET)
    return LockedModel(version=version, mar=mar, sha256=UNSET, size=0)


def to_commit(versions: Mapping[str, Sequence[str]], built: Lock, committed: Lock) -> Lock:
    """The lock to commit: what was built, if its version is a requested one.

    Args:
        versions: each model's versions, as its model.yaml names them, its own first.
        built: what was built here, perhaps with random weights under another version.
        committed: the lock so far; its entry of a requested version stays.
    """

    def entry(name: str, version: str) -> LockedModel:
        locked = built.archive(name, version) or committed.archive(name, version)
        return locked or unset(name, version)

    models = {}
    for name, (version, *others) in versions.items():
        beside = tuple(entry(name, other) for other in others)
        models[name] = entry(name, version).model_copy(update={"others": beside})
    return Lock(models=models)


def load_lock(path: Path) -> Lock:
    """Read a lock.

    Raises:
        InputError: it is missing, not of this form, or was changed by hand.
    """
    if not path.exists():
        action = "build" if path.parts[-3:-1] == ("build", "models") else "lock"
        raise InputError(
            "cannot be read: it is not there", at=path, hint=f"harness models {action}"
        )
    text = document.read_text(path)
    for parsed in document.parse(text, path):
        refuse_edits(parsed)
    return document.load_text(text, path, Lock)


def refuse_edits(parsed: document.Document) -> None:
    """Refuse a lock of which an entry is not as it was written; one without ``check`` is taken.

    Raises:
        InputError: the entries that were changed by hand, each at its digest.
    """
    edited = [
        Problem(
            f"{name} is not as `harness models lock` wrote it: build it again (`make lock`), or "
            "take the entry back from Git",
            parsed.at(("models", str(name), "sha256")),
        )
        for name, entry in mapping(parsed.value, "models").items()
        if (written := text_at(entry, _CHECK)) and written != _check(mapping(entry))
    ]
    if edited:
        raise InputError.of(edited)


def sources(path: Path) -> dict[str, str]:
    """What each archive of a lock was built from, where the lock says so; none without a lock."""
    if not path.is_file():
        return {}
    return {
        str(name): digest
        for parsed in document.parse(document.read_text(path), path)
        for name, entry in mapping(parsed.value, "models").items()
        if (digest := text_at(entry, _SOURCES))
    }


def _check(entry: Mapping[str, object]) -> str:
    lines = [str(entry.get(key, "")) for key in ("version", "mar", "sha256", "size", _SOURCES)]
    return hashlib.sha256("\0".join(lines).encode()).hexdigest()[:8]


def write_lock(path: Path, lock: Lock, built_from: Mapping[str, str] | None = None) -> bool:
    """Write ``lock``, its models sorted by name.

    Args:
        path: the file.
        lock: what it shall hold.
        built_from: of each model that it is known of, the digest of its files; with it, entries
            have a check of their own too.

    Returns:
        True if the file changed.
    """
    models = {
        name: lock.models[name].model_dump(mode="json", exclude_defaults=True)
        for name in sorted(lock.models)
    }
    for name, entry in models.items() if built_from is not None else ():
        if not lock.models[name].unset:
            others = {"others": entry.pop("others")} if "others" in entry else {}
            if built_from and (digest := built_from.get(name)):
                entry[_SOURCES] = digest
            entry[_CHECK] = _check(entry)
            entry.update(others)
    head = "# Written by `harness models`; see harness/models/lock.py.\n"
    body = yaml.safe_dump({"models": models}, sort_keys=False, width=200)
    return files.write(path, head + body)
