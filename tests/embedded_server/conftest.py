"""A small checkout with one built model, whose moves a test decides (tests/launcher)."""

import hashlib
from pathlib import Path

import pytest

from harness.core import repository
from harness.core.repository import Repository
from harness.models import samples
from harness.models.answer import Expected, Tolerance
from harness.models.lock import Lock, LockedModel, write_lock
from tests.launcher.conftest import archive

__all__ = ["archive"]

MODEL = """\
name: gated
version: "1.0"
description: does what a test lets it do
artifact:
  adopted:
    mar: gated.mar
"""
SERVING = """\
server:
  numberOfGpu: 0
  jobQueueSize: 10
  numberOfNettyThreads: 2
models:
  gated: {}
"""


@pytest.fixture
def tiny(
    tmp_path_factory: pytest.TempPathFactory, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> Repository:
    """The checkout; the model's gates are files in its folder ``gate``."""
    checkout = fill(Repository(tmp_path_factory.mktemp("tiny")), archive)  # short: LONGEST_WORK
    monkeypatch.setenv("GATE", str(checkout.root / "gate"))
    return checkout


def fill(checkout: Repository, archive: Path) -> Repository:
    """Write the small checkout, with its model built."""
    for path, text in (
        (checkout.models / "gated" / "model.yaml", MODEL),
        (checkout.root / "apps" / "torchserve" / "local" / "torchserve" / "serving.yaml", SERVING),
        (checkout.root / "clusters" / "local" / "kustomization.yaml", ""),
        (checkout.root / "gate" / "readme", ""),
        (checkout.jars_lock, repository.find().jars_lock.read_text()),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    content = archive.read_bytes()
    store = checkout.built_models / "model-store"
    store.mkdir(parents=True)
    (store / "gated.mar").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    locked = LockedModel(version="1.0", mar="gated.mar", sha256=digest, size=len(content))
    write_lock(checkout.built_models / "lock.yaml", Lock(models={"gated": locked}))
    expected = Expected(answer={"ok": True}, tolerance=Tolerance())
    sample = samples.PreparedSample(
        "gated", "1.0", "ask", "application/octet-stream", b"ask", expected
    )
    samples.write_samples(samples.folder(checkout, "gated", "1.0"), [sample])
    return checkout
