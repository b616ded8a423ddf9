"""What is in an archive, read without unpacking it and without running any of it.

    contents = read(Path("toy.mar"))
    contents.settings["deviceType"], contents.requirements, contents.python

A ``.mar`` is a zip, any other file a gzipped tar, and a folder is an archive that was not packed:
the names are those that TorchServe gives the files.
"""

import contextlib
import gzip
import io
import re
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import yaml

from harness.core import files
from harness.core.errors import InputError
from harness.models import adopted, archive
from harness.models.archive import MANIFEST, Entry

_TEXT_BYTES = 4 << 20  # of a handler or a list; more is not text that a person wrote
_CONTINUED = re.compile(r"\\\r?\n")
_HASH = re.compile(r"\s--hash=\S+")
_COMMENT = re.compile(r"(^|\s)#.*")  # pip's: an address may hold one
_DAMAGED = (
    *(OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile),
    *(NotImplementedError, RuntimeError),  # zipfile's, of what it cannot unpack or decrypt
)
_LISTS = ("requirements.txt", "requirements.in")


@dataclass(frozen=True, slots=True)
class ArchiveContents:
    """An archive.

    Attributes:
        path: where it lies.
        name: of the model, as its manifest says; empty if it says none.
        version: as TorchServe serves it.
        handler: the file with the handler, or one of TorchServe's own.
        settings: its model-config.yaml; empty where TorchServe cannot read it.
        settings_fault: why it cannot be read, or "".
        requirements: the lines of its list of packages.
        python: path in the archive → source code.
        undecodable: the paths of those whose bytes Python cannot decode, and why.
        named: each file that the manifest names, by its key.
        files: path in the archive → size in bytes.
    """

    path: Path
    name: str
    version: str
    handler: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    settings_fault: str = ""
    requirements: tuple[str, ...] = ()
    python: Mapping[str, str] = field(default_factory=dict)
    undecodable: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)


def read(path: Path) -> ArchiveContents:
    """Look into a .mar, a .tar.gz or a folder.

    Only what is looked at is read: a large archive may be damaged elsewhere.

    Raises:
        InputError: it is damaged, or its manifest is none.
    """
    try:
        with opened(path, verify=False) as files:
            return describe(path, files)
    except _DAMAGED as error:
        raise InputError(f"truncated or corrupt: {error}", at=path) from error


@contextlib.contextmanager
def opened(path: Path, *, verify: bool = True) -> Iterator[list[Entry]]:
    """The files of an archive, as TorchServe unpacks them; readable inside the block.

    Args:
        path: where it lies.
        verify: read every byte of it first.

    Raises:
        InputError: it is damaged, or has a file that would lie outside of it.
    """
    with contextlib.ExitStack() as stack:
        if path.name.endswith(".war"):
            raise InputError(
                "is a workflow, which TorchServe forgets at each start, so none is served here",
                at=path,
                hint="bring its models' archives, and call them one after the other, or in one "
                "handler",
            )
        if path.is_dir():
            files = adopted.folder_entries(path)
        elif path.name.endswith(".mar"):
            files = archive.entries(stack.enter_context(_zip(path, verify=verify)))
        else:
            with adopted.refuse_damaged(path):
                plain = stack.enter_context(gzip.open(path))
                files = _tar_entries(stack.enter_context(tarfile.open(fileobj=plain, mode="r:")))
                while verify and plain.read(1 << 20):  # to its end, where its checksum is
                    pass
        for each in files:
            adopted.confirm_inside(each.name, path)
        yield files


@contextlib.contextmanager
def _zip(path: Path, *, verify: bool) -> Iterator[zipfile.ZipFile]:
    with archive.opened(path) if verify else archive.unpackable(path) as packed:
        yield packed


def _tar_entries(packed: tarfile.TarFile) -> list[Entry]:
    """The files of a tar; of two with one name the later one, as TorchServe unpacks them."""
    entries: dict[str, Entry] = {}
    for member in packed:
        if not member.isdir():
            name = adopted.unpacked_name(member.name)
            entries[name] = _tar_entry(packed, name, member)
    return list(entries.values())


def _tar_entry(packed: tarfile.TarFile, name: str, member: tarfile.TarInfo) -> Entry:
    if not member.isfile():  # a link becomes an empty file: TorchServe makes no links either
        return Entry(name, 0, io.BytesIO)
    content = cast("Callable[[], IO[bytes]]", partial(packed.extractfile, member))
    return Entry(name, member.size, content)


def describe(path: Path, files: list[Entry]) -> ArchiveContents:
    """What stands in the files of the archive at ``path``.

    Raises:
        InputError: it is empty, or its manifest is none.
    """
    if not files:
        raise InputError("holds no file", at=path)
    manifest = adopted.manifest_of(files, path)
    listed = manifest.requirements_file
    lists = [each for each in files if each.name == listed or each.name in _LISTS]
    settings, fault = _settings(files, manifest.config_file or "")
    code = {
        each.name: _code(each)
        for each in files
        if each.name.endswith(".py") and each.size <= _TEXT_BYTES
    }
    return ArchiveContents(
        path=path,
        name=manifest.model_name,
        version=manifest.model_version or adopted.DEFAULT_VERSION,
        handler=manifest.handler,
        settings=settings,
        settings_fault=fault,
        requirements=tuple(
            line
            for each in lists
            for raw in _CONTINUED.sub(" ", _text(each) or "").splitlines()
            if (line := _HASH.sub("", _COMMENT.sub("", raw)).strip())
        ),
        python={name: text for name, (text, _) in code.items()},
        undecodable={name: reason for name, (_, reason) in code.items() if reason},
        named={
            key: name
            for key, name in manifest.model_dump(by_alias=True).items()
            if key.endswith("File") and name
        },
        files={each.name: each.size for each in files if each.name != MANIFEST},
    )


def _settings(files: list[Entry], name: str) -> tuple[Mapping[str, Any], str]:
    """The settings in a file of an archive, and why they cannot be read, or ""."""
    text = next((_text(each) for each in files if each.name == name), "")
    try:
        settings = yaml.safe_load(text or "")
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none
        return {}, f"{name} is not YAML: {error}"
    if isinstance(settings, dict) or not settings:
        return settings or {}, ""
    return {}, f"{name} holds no settings: it is a {type(settings).__name__}"


def _text(entry: Entry) -> str | None:
    """The text of a file, or None if it is too large to be one."""
    if entry.size > _TEXT_BYTES:
        return None
    with entry.open() as file:
        content = file.read()
    return files.text_of(content, errors="replace")  # as pip reads a list


def _code(entry: Entry) -> tuple[str, str]:
    """The text of a Python file as Python reads it, and why it cannot, or ""."""
    with entry.open() as file:
        content = file.read()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return content.decode(encoding), ""
    except (SyntaxError, UnicodeDecodeError) as error:
        reason = f"is not UTF-8, and names no other encoding: {error}"
        return content.decode(errors="replace"), reason
