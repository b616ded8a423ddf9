"""How the tests import."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.importing import reader
from harness.importing.outcome import Imported
from harness.snapshot.server import ServerSettings

LIKE = ServerSettings.model_validate(
    {"numberOfGpu": 1, "jobQueueSize": 200, "numberOfNettyThreads": 8}
)

Import = Callable[..., Imported]


def import_(*words: object, store: Path | None = None, workers: int | None = None) -> Imported:
    """What the words of a command line, or paths, become."""
    return reader.read([str(word) for word in words], LIKE, store, workers)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """``write("Dockerfile", "FROM …")``: a file, and its path."""

    def _write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return _write
