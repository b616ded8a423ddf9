"""A repository with one tiny model, and the real ones as this checkout builds them."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core import repository
from harness.core.repository import Repository
from harness.models import build
from harness.models.lock import Lock

TINY = """\
name: tiny
version: "1"
description: Says how long the request was.
license:
  code: MIT
  weights: MIT
artifact:
  torchscript:
    file: tiny.pt
handler: handler.py
reference: reference.py
samples:
  - name: hello
    file: hello.txt
    contentType: text/plain
    expect:
      answer: {length: 5}
"""


def plant(root: Path) -> Repository:
    """A repository under ``root`` with the model ``tiny``."""
    folder = root / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(TINY)
    (folder / "tiny.pt").write_bytes(b"weights")
    (folder / "handler.py").write_text("def handle(data, context): return data\n")
    (folder / "hello.txt").write_text("hello")
    (folder / "reference.py").write_text(
        "def load(folder):\n    return lambda body: {'length': len(body)}\n"
    )
    return Repository(root)


@pytest.fixture
def tiny(tmp_path: Path) -> Repository:
    return plant(tmp_path)


@pytest.fixture
def edit(tiny: Repository) -> Callable[[str, str], Path]:
    """Replaces a text in tiny's model.yaml; says where that is."""

    def edit(old: str, new: str) -> Path:
        path = tiny.models / "tiny" / "model.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return path

    return edit


@pytest.fixture(scope="session")
def checkout() -> Repository:
    return repository.find(Path(__file__))


@pytest.fixture(scope="session")
def built(checkout: Repository) -> Lock:
    """The real models; costs seconds the first time, nothing after."""
    return build.build(checkout)


@pytest.fixture(scope="session")
def unpacked(
    checkout: Repository, built: Lock, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The folder of a real model's archive, as TorchServe would unpack it."""

    def unpack(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        with zipfile.ZipFile(build.store(checkout) / built.models[name].mar) as archive:
            archive.extractall(folder)
        return folder

    return unpack
