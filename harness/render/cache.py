"""Answers of slow programs, kept by the content that they were made from.

A key covers everything the answer depends on (the program's own pin among it), so nothing here
is ever stale: a file that changes has another key. What was not asked for in a week goes.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from harness.core.repository import Repository

_KEEP_SECONDS = 7 * 24 * 3600
_FORM = 2  # of the answers: raised when code of today could not read those of yesterday


class Cache:
    """A folder of JSON answers. Two threads that ask for the same answer wait for one."""

    def __init__(self, repository: Repository) -> None:
        self._folder = repository.build / "check" / "cache"
        self._answers: dict[str, object] = {}
        self._making: dict[str, Lock] = {}

    def get(self, key: str, make: Callable[[], object]) -> object:
        """The answer for ``key``, computed now if it is missing. Errors are not cached."""
        name = hashlib.sha256(f"{_FORM} {key}".encode()).hexdigest()
        with self._making.setdefault(name, Lock()):
            if name not in self._answers:
                self._answers[name] = self._load(name, make)
            return self._answers[name]

    def _load(self, name: str, make: Callable[[], object]) -> object:
        path = self._folder / f"{name}.json"
        try:
            answer: object = json.loads(path.read_bytes())
            os.utime(path)
        except (OSError, ValueError):
            answer = make()
            _write(path, answer)
        return answer

    def prune(self) -> None:
        """Remove what nobody asked for in a week."""
        oldest = time.time() - _KEEP_SECONDS
        for path in self._folder.glob("*.json"):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)


class Ledger:
    """Many small answers in one file: those that the last run used, and no others."""

    def __init__(self, repository: Repository, name: str) -> None:
        self._path = repository.build / "check" / "cache" / f"{name}-{_FORM}"
        try:
            self._saved: dict[str, object] = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            self._saved = {}
        self._used: dict[str, object] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._saved or key in self._used

    def __getitem__(self, key: str) -> object:
        if key not in self._used:
            self._used[key] = self._saved[key]
        return self._used[key]

    def __setitem__(self, key: str, answer: object) -> None:
        self._used[key] = answer

    def save(self) -> None:
        """Write what was used."""
        if self._used.keys() != self._saved.keys():
            _write(self._path, self._used)


def _write(path: Path, answer: object) -> None:
    """Whole or not at all, but without waiting for the disk: what a crash spoils is made again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump(answer, file, default=str)
    Path(file.name).replace(path)
