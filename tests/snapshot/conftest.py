"""The JVM, and a small checkout."""

import textwrap
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from harness.core.repository import Repository
from tests.snapshot import java


class JavaProperties:
    """``java.util.Properties`` in one process of its own.

    The JVM brings threads and signal handlers along, which no other test should have to bear.
    """

    def __init__(self, process: ProcessPoolExecutor) -> None:
        self._process = process

    def load(self, data: bytes) -> dict[str, str] | None:
        """What the JVM reads from the bytes of a file; None where it refuses them."""
        return self._process.submit(java.load, data).result()

    def store(self, pairs: Mapping[str, str]) -> bytes:
        """The bytes that the JVM writes."""
        return self._process.submit(java.store, pairs).result()


@pytest.fixture(scope="session")
def java_properties() -> Iterator[JavaProperties]:
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=java.start) as process:
        yield JavaProperties(process)


@pytest.fixture
def small(tmp_path: Path) -> Repository:
    """A checkout with two adopted models and the environment ``test``."""
    for name, workers in (("cat", 1), ("dog", 4)):
        write(
            tmp_path / f"models/{name}/model.yaml",
            f"""
            name: {name}
            version: "1.0"
            description: a model
            artifact: {{adopted: {{mar: {name}.mar}}}}
            serving: {{minWorkers: 1, maxWorkers: {workers}, batchSize: 1, maxBatchDelay: 1}}
            """,
        )
    write(
        tmp_path / "models/lock.yaml",
        """
        models:
          cat: {version: "1.0", mar: cat.mar, sha256: UNSET, size: 0}
          dog: {version: "1.0", mar: dog.mar, sha256: UNSET, size: 0}
        """,
    )
    write(
        tmp_path / "apps/torchserve/test/torchserve/serving.yaml",
        """
        server: {numberOfGpu: 1, jobQueueSize: 10, numberOfNettyThreads: 2}
        models:
          dog: {maxWorkers: 2}
          cat: {}
        """,
    )
    (tmp_path / "clusters/test").mkdir(parents=True)
    return Repository(tmp_path)


def write(path: Path, text: str) -> None:
    """Write a file, and the folders that it needs, without the indentation of the test."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip())
