"""The model store: a folder of complete, known archives that are never changed."""

import contextlib
import errno
import hashlib
import json
import os
import re
import socket
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from . import SyncError, lock

FIRST_GROUP = "torchserve"
"""The group that an environment always had; charts before December 2026 name none."""

_MANIFEST, _RECORD = "manifest.json", "config.properties"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.mar")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_REASONS = {
    errno.EACCES: "it may not be written by this user",
    errno.EFBIG: "no larger file fits",
    errno.EDQUOT: "the quota is used up",
    errno.ENOSPC: "the disk is full",
    errno.EROFS: "it is mounted read-only: only the loader's access point can be written",
}


@dataclass(frozen=True, slots=True)
class File:
    """An archive as the release pins it; ``size`` in bytes."""

    name: str
    sha256: str
    size: int

    @property
    def is_named_by_content(self) -> bool:
        return self.name.endswith(f"-{self.sha256[:12]}.mar")


def read_files(path: Path) -> list[File]:
    """Read the list of archives that a release needs.

    Raises:
        SyncError: the list cannot be read, or an archive was never built and locked.
    """
    try:
        files = [
            File(each["name"], each["sha256"], each["size"])
            for each in json.loads(path.read_text())
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SyncError(f"{path} is not a list of {{name, sha256, size}}: {error}") from error
    for file in files:
        if not _NAME.fullmatch(file.name) or not _DIGEST.fullmatch(file.sha256):
            raise SyncError(
                f"{path}: {file.name} with sha256 {file.sha256}: lock it before releasing it"
            )
    return files


@dataclass(frozen=True, slots=True)
class Store:
    """A folder, on a file system that several Jobs may see."""

    folder: Path

    @property
    def _config(self) -> Path:
        return self.folder.parent / "config"

    @contextlib.contextmanager
    def locked(self, holder: str, seconds: float) -> Iterator[None]:
        """Wait until no other Job has the store; sweep away what a killed one left unfinished.

        Args:
            holder: what has the store meanwhile, for those who wait.
            seconds: how long to wait at most.

        Raises:
            SyncError: the store cannot be written, or another Job had it all that time.
        """
        with contextlib.ExitStack() as until:
            with self._writing():
                self.folder.mkdir(parents=True, exist_ok=True)
                pod = f"{holder}, pod {socket.gethostname()},"
                until.enter_context(lock.held(self.folder / ".lock", pod, seconds))
                for folder, pattern in ((self.folder, ".*.part"), (self._config, "*/.*.part")):
                    for partial in folder.glob(pattern):
                        partial.unlink()
            yield

    def fill(self, file: File, read: Callable[[File], Iterable[bytes]]) -> str:
        """Make sure that the store has ``file``, complete and right; return what was done.

        Raises:
            SyncError: it could not be had, or another file has its name.
        """
        path = self.folder / file.name
        existing = self._sha256(path)
        if existing == file.sha256:
            return "was there"
        if existing and not file.is_named_by_content:
            raise SyncError(
                f"{path}: sha256 {existing} where {file.sha256} is expected; its name does not "
                "contain its digest, so another release may need it as it is"
            )
        with self._part(file.name) as part:
            digest = hashlib.sha256()
            for chunk in read(file):
                digest.update(chunk)
                part.write(chunk)
            if (actual := digest.hexdigest()) != file.sha256:
                raise SyncError(f"{file.name}: sha256 {actual} where {file.sha256} is expected")
        return "replaced: it was damaged" if existing else "copied"

    def write_manifest(self, files: Iterable[File] = (), *, excluding: Container[str] = ()) -> None:
        """List the complete archives: ``files``, and what earlier runs listed and still exists.

        What is in ``excluding`` is left out.
        """
        path = self.folder / _MANIFEST
        try:
            before = {each["name"]: each for each in json.loads(path.read_text())}
        except (OSError, ValueError, KeyError, TypeError):
            before = {}
        known = before | {file.name: asdict(file) for file in files}
        names = [name for name in sorted(known) if name not in excluding]
        entries = [known[name] for name in names if (self.folder / name).is_file()]
        with self._part(_MANIFEST) as part:
            part.write(json.dumps(entries, indent=2).encode() + b"\n")

    def archives(self, *, excluding: Container[str]) -> dict[str, int]:
        """Size by name of every archive in the store that is not in ``excluding``."""
        with self._writing():
            return {
                path.name: path.stat().st_size
                for path in self.folder.iterdir()
                if _NAME.fullmatch(path.name) and path.name not in excluding
                # A link or a folder is not an archive, whatever it is called.
                if path.is_file() and not path.is_symlink()
            }

    def records(self) -> dict[str, set[str]]:
        """What each group was last asked for: every archive that its configuration names.

        A sync before December 2026 left a record that names no group. It is the first group's,
        which removes it with its next sync; it counts until 2027-06-01.
        """
        try:
            texts = {path.name: _text(path / _RECORD) for path in self._folders()}
            texts[FIRST_GROUP] = texts.get(FIRST_GROUP, "") + _text(self._config / _RECORD)
        except OSError as error:
            raise SyncError(f"{self._config}: cannot be read: {error.strerror}") from error
        return {group: set(_NAME.findall(text)) for group, text in texts.items() if text}

    def _folders(self) -> list[Path]:
        """The folders of the groups; a folder that cannot be read is not an empty one."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(path for path in self._config.iterdir() if path.is_dir())
        return []

    def remove(self, names: Iterable[str]) -> None:
        """Remove archives.

        The manifest comes first: killed in between, it lists nothing that does not exist.

        Raises:
            SyncError: the store cannot be written.
        """
        removed = set(names)
        self.write_manifest(excluding=removed)
        with self._writing():
            for name in sorted(removed):
                (self.folder / name).unlink(missing_ok=True)

    def record(self, group: str, config: Path) -> None:
        """Copy a group's configuration to ``config/<group>/`` next to the store.

        It is what gc keeps, and people read.
        """
        directory = Store(self._config / group)
        with directory._writing():
            directory.folder.mkdir(parents=True, exist_ok=True)
        with directory._part(_RECORD) as part:
            part.write(config.read_bytes())
        self._remove_old_record(group)

    def forget(self, group: str) -> None:
        """Remove the record of a group that is gone, and its folder if that is empty."""
        folder = self._config / group
        with self._writing():
            (folder / _RECORD).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()
        self._remove_old_record(group)

    def _remove_old_record(self, group: str) -> None:
        if group == FIRST_GROUP:
            with self._writing():
                (self._config / _RECORD).unlink(missing_ok=True)

    def _sha256(self, path: Path) -> str:
        """The file's SHA-256; empty where there is no file."""
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise SyncError(f"{path}: cannot be read: {error.strerror}") from error

    @contextlib.contextmanager
    def _part(self, name: str) -> Iterator[IO[bytes]]:
        """A temporary file that gets its name once it is complete and on disk."""
        with self._writing():
            descriptor, temporary = tempfile.mkstemp(".part", f".{name}.", self.folder)
            try:
                with os.fdopen(descriptor, "wb") as part:
                    yield part
                    part.flush()
                    os.fchmod(part.fileno(), 0o644)
                    os.fsync(part.fileno())
                Path(temporary).replace(self.folder / name)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, error.strerror)
            raise SyncError(f"{self.folder} cannot be written: {reason}") from error


def _text(record: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return record.read_text("latin-1")
    return ""
