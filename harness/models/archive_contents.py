"""What is in an archive, read without unpacking it and without running any of it.

    contents = read(Path("toy.mar"))
    contents.settings["deviceType"], contents.requirements, contents.python

Of a ``.tar.gz`` that is not so: it has to be unpacked, into a folder that goes again.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import InputError
from harness.models import adopted
from harness.models.archive import MANIFEST, Entry

_TEXT_BYTES = 4 << 20  # of a handler or a list; more is no text that a person wrote
_LISTS = ("requirements.txt", "requirements.in")


@dataclass(frozen=True, slots=True)
class ArchiveContents:
    """An archive.

    Attributes:
        path: where it lies.
        name: of the model, as its manifest says; empty if it says none.
        version: as TorchServe serves it.
        handler: the file with the handler, or one of TorchServe's own.
        settings: its model-config.yaml.
        requirements: the lines of its list of packages.
        python: path in the archive → source code.
        files: path in the archive → size in bytes.
    """

    path: Path
    name: str
    version: str
    handler: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()
    python: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict)


def read(path: Path) -> ArchiveContents:
    """Look into a .mar, a .tar.gz or a folder.

    Raises:
        InputError: it is damaged, or its model-config.yaml is not YAML.
    """
    with opened(path) as files:
        return describe(path, files)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[list[Entry]]:
    """The files of an archive, readable inside the block."""
    with (
        tempfile.TemporaryDirectory() as folder,
        adopted.entries(path, Path(folder, "unpacked")) as files,
    ):
        yield files


def describe(path: Path, files: list[Entry]) -> ArchiveContents:
    """What stands in the files of the archive at ``path``; raises what ``read`` raises."""
    manifest = adopted.manifest_of(files, path)
    config = manifest.config_file or "model-config.yaml"
    listed = manifest.requirements_file
    lists = [each for each in files if each.name == listed or each.name in _LISTS]
    return ArchiveContents(
        path=path,
        name=manifest.model_name,
        version=manifest.model_version or adopted.DEFAULT_VERSION,
        handler=manifest.handler,
        settings=next((_settings(path, each) for each in files if each.name == config), {}),
        requirements=tuple(
            line
            for each in lists
            for raw in (_text(each) or "").splitlines()
            if (line := raw.partition("#")[0].strip())
        ),
        python={
            each.name: text
            for each in files
            if each.name.endswith(".py") and (text := _text(each)) is not None
        },
        files={each.name: each.size for each in files if each.name != MANIFEST},
    )


def _settings(path: Path, entry: Entry) -> Mapping[str, Any]:
    try:
        settings = yaml.safe_load(_text(entry) or "")
    except yaml.YAMLError as error:
        raise InputError(f"{entry.name} is not YAML: {error}", at=path) from error
    return settings if isinstance(settings, dict) else {}


def _text(entry: Entry) -> str | None:
    """The text of a file, or None if it is too large to be one."""
    if entry.size > _TEXT_BYTES:
        return None
    with entry.open() as file:
        return file.read().decode(errors="replace")
