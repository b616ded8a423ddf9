"""Answers of slow programs, kept by the content that they were made from.

A key covers everything the answer depends on (the program's own pin among it), so nothing here
is ever stale: a file that changes has another key. What was not asked for in a week goes.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from threading import Lock

from harness.core import files
from harness.core.repository import Repository

_KEEP_SECONDS = 7 * 24 * 3600


class Cache:
    """A folder of JSON answers. Two threads that ask for the same answer wait for one."""

    def __init__(self, repository: Repository) -> None:
        self._folder = repository.build / "check" / "cache"
        self._answers: dict[str, object] = {}
        self._making: dict[str, Lock] = {}

    def get(self, key: str, make: Callable[[], object]) -> object:
        """The answer for ``key``, made now if it is not there. Errors are not kept."""
        name = hashlib.sha256(key.encode()).hexdigest()
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
            files.write(path, json.dumps(answer, default=str))
        return answer

    def prune(self) -> None:
        """Remove what nobody asked for in a week."""
        oldest = time.time() - _KEEP_SECONDS
        for path in self._folder.glob("*.json"):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
