"""The files that a render reads: the working tree, or a commit laid out under build/.

Everything is looked at before kustomize or helm sees it, so that a YAML bomb, a file of 50 MB, a
loop of links or a path out of the repository is an error with a name and not a stuck process.
"""

import functools
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from harness.core import yamlfile
from harness.core.errors import InputError, Location
from harness.core.git import Git
from harness.core.repository import Repository
from harness.core.values import KeyPath
from harness.core.yamlfile import Document
from harness.render import layout

KUSTOMIZATION_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
READ = ("apps", "clusters", "infra", "models")
"""What of the repository a render can read."""

_ELSEWHERE = ("/", "http://", "https://", "ssh://", "git::", "git@", "github.com/", "file://")
_NAMES_FILES = ("resources", "components", "bases", "crds", "patches", "configMapGenerator")
_ALIAS = re.compile(rb"[:,\[{-]\s*\*\w")
_MAX_BYTES = 4 << 20


# Most files are the same in the working tree, in what runs and in what was before.
_parsed = functools.lru_cache(maxsize=4096)(yamlfile.parse)

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Tree:
    """A checkout to render from.

    Attributes:
        root: where it lies.
        commit: what was laid out; empty for the working tree.
    """

    root: Path
    commit: str = ""
    _digests: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    _documents: dict[str, list[Document]] = field(default_factory=dict, repr=False, compare=False)
    _named: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _reached: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)
    _remembered: dict[str, object] = field(default_factory=dict, repr=False, compare=False)

    def documents(self, path: str) -> list[Document]:
        """The YAML documents of a file, named by its path in the repository.

        Raises:
            InputError: it cannot be read or is not YAML.
        """
        if path not in self._documents:
            self._documents[path] = _parsed(self.text(path), Path(path))
        return self._documents[path]

    def remember(self, key: str, make: Callable[[], Kept]) -> Kept:
        """What ``make`` works out from files of this tree, worked out once."""
        if key not in self._remembered:
            self._remembered[key] = make()
        return cast("Kept", self._remembered[key])

    def text(self, path: str) -> str:
        """A file's text.

        Raises:
            InputError: it is missing, too large, not UTF-8, or leads out of the repository.
        """
        full = self.inside(path)
        try:
            return yamlfile.read_text(full)
        except InputError as error:
            raise InputError(error.message, at=Path(path)) from None

    def inside(self, path: str) -> Path:
        """The real file or folder behind a path of the repository.

        Raises:
            InputError: it does not exist, is a loop of links, or lies outside the repository.
        """
        try:
            real = (self.root / path).resolve(strict=True)
        except FileNotFoundError:
            raise InputError("does not exist", at=Path(path)) from None
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop, before Python 3.13
            raise InputError(f"cannot be followed: {error}", at=Path(path)) from None
        if not real.is_relative_to(self.root):
            raise InputError("reaches outside the repository", at=Path(path))
        return real

    def kustomization(self, folder: str) -> str:
        """The kustomization file of a folder.

        Raises:
            InputError: it has none, or does not exist.
        """
        real = self.inside(folder)
        for name in KUSTOMIZATION_NAMES:
            if (real / name).is_file():
                return f"{folder}/{name}"
        raise InputError(
            "has no kustomization.yaml",
            at=Path(folder),
            hint="Flux would apply every YAML file below it; list what it shall read",
        )

    def closure(self, folder: str) -> tuple[str, ...]:
        """Every file that a kustomize build of ``folder`` can read, overlays before their bases.

        A string of a kustomization file that names something on disk counts as read: a superset
        that no kustomize feature escapes.

        Raises:
            InputError: a file of it cannot be read, or leads out of the repository.
        """
        if folder not in self._reached:
            reached: dict[str, None] = {}
            self._reach(folder, reached, ())
            self._reached[folder] = tuple(reached)
        return self._reached[folder]

    def digest(self, paths: tuple[str, ...]) -> str:
        """Changes when a name or the content of one of the files does."""
        total = hashlib.sha256()
        for path in paths:
            total.update(f"{path}\0{self._digest(path)}\n".encode())
        return total.hexdigest()

    def mention(self, files: Iterable[str], pattern: str) -> Location:
        """The first line of files that has a pattern; the first file if none has."""
        used = re.compile(pattern)
        first = ""
        for file in files:
            first = first or file
            for number, line in enumerate(self.text(file).splitlines(), start=1):
                if used.search(line):
                    return Location(Path(file), number)
        return Location(Path(first))

    def files(self, folder: str) -> tuple[str, ...]:
        """Every file below a folder, sorted; a file is itself.

        Raises:
            InputError: the folder does not exist.
        """
        top = self.inside(folder)
        if top.is_file():
            return (folder,)
        return tuple(
            sorted(
                str(Path(folder, Path(parent, name).relative_to(top)))
                for parent, _, names in os.walk(top)
                for name in names
            )
        )

    def _digest(self, path: str) -> str:
        if path not in self._digests:
            full = self.inside(path)
            if full.stat().st_size > _MAX_BYTES:
                raise InputError(f"larger than {_MAX_BYTES >> 20} MiB", at=Path(path))
            content = full.read_bytes()
            if path.endswith((".yaml", ".yml")) and _ALIAS.search(content):
                self.documents(path)  # refuses what its aliases would blow up to
            self._digests[path] = hashlib.sha256(content).hexdigest()
        return self._digests[path]

    def _reach(self, folder: str, reached: dict[str, None], above: tuple[str, ...]) -> None:
        if folder in above:
            raise InputError(f"a circle: {' → '.join((*above, folder))}", at=Path(folder))
        if folder not in self._named:
            self._named[folder] = self._names(folder)
        files, below = self._named[folder]
        for file in files:
            _put_last(reached, file)
        for path in below:
            self._reach(path, reached, (*above, folder))

    def _names(self, folder: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The kustomization file of a folder with the files that it names, and the folders."""
        file = self.kustomization(folder)
        files: dict[str, None] = {file: None}
        below: dict[str, None] = {}
        for parsed in self.documents(file):
            for name, line in _strings(parsed):
                path = self._referenced_path(folder, name, Location(Path(file), line))
                if path and (self.root / path).is_file():
                    self._digest(path)
                    _put_last(files, path)
                elif path:
                    below[path] = None
        return tuple(files), tuple(below)

    def _referenced_path(self, folder: str, name: str, at: Location) -> str | None:
        """The file, or folder with a kustomization file, that a string names; None if it does not.

        ``at`` has a line where only a path can stand.
        """
        if name.startswith(_ELSEWHERE) and at.line:
            raise InputError(f"{name} reaches outside the repository", at=at)
        path = os.path.normpath(f"{folder}/{name}")
        if path == folder or not (path.startswith("..") or os.path.lexists(self.root / path)):
            return None
        try:
            real = self.inside(path)
        except InputError as error:
            raise InputError(f"{name} {error.message}", at=at) from None
        built = any((real / each).is_file() for each in KUSTOMIZATION_NAMES)
        return path if real.is_file() or built else None


def working(repository: Repository) -> Tree:
    """The checkout as it lies there, uncommitted changes included."""
    return Tree(repository.root.resolve())


def at_commit(repository: Repository, commit: str) -> Tree:
    """What Flux reads of a commit, laid out under build/check.

    Raises:
        UsageError: the commit is not in this clone.
        InputError: Flux could not unpack it.
    """
    full = layout.resolve(Git(repository.history), commit)
    return Tree(layout.for_flux(repository, full), full)


def _put_last(reached: dict[str, None], path: str) -> None:
    """Put a file behind all others: a base that two overlays share comes after both."""
    reached.pop(path, None)
    reached[path] = None


def _strings(parsed: Document) -> Iterator[tuple[str, int | None]]:
    """Every string that could name a file: the value itself, or what follows ``key=``."""
    stack: list[tuple[object, KeyPath]] = [(parsed.value, ())]
    while stack:
        value, path = stack.pop()
        if isinstance(value, dict):
            stack.extend((inner, (*path, str(key))) for key, inner in value.items())
        elif isinstance(value, list):
            stack.extend((inner, (*path, index)) for index, inner in enumerate(value))
        elif isinstance(value, str) and value and len(value) < 256 and "\n" not in value:
            line = parsed.lines.get(path) if path and path[0] in _NAMES_FILES else None
            yield value.rpartition("=")[2] or value, line
