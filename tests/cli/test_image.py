"""`harness image pin` writes one digest, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest

from harness.cli import main
from harness.core.repository import Repository

_FILE = "apps/torchserve/base/helmrelease.yaml"
_DIGEST = f"sha256:{'0a' * 32}"


@pytest.fixture
def file(tmp_path: Path, checkout: Repository, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / _FILE
    path.parent.mkdir(parents=True)
    for folder in ("models", "clusters"):
        (tmp_path / folder).mkdir()
    shutil.copyfile(checkout.root / _FILE, path)
    monkeypatch.chdir(tmp_path)
    return path


def test_one_line_changes(file: Path) -> None:
    before = file.read_text().splitlines()
    assert main(["image", "pin", _DIGEST]) == 0
    after = file.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [("      digest: UNSET", f"      digest: {_DIGEST}")]


def test_the_same_digest_changes_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["image", "pin", _DIGEST])
    before = file.read_text()
    assert main(["image", "pin", _DIGEST]) == 0
    assert file.read_text() == before
    assert "already runs" in capsys.readouterr().out


def test_what_it_wrote_is_said_as_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for changed in (True, False):
        assert main(["image", "pin", _DIGEST, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {
            "file": _FILE,
            "digest": _DIGEST,
            "changed": changed,
            "set": "default",
        }


@pytest.mark.parametrize(
    "digest", ["", "latest", "sha256:UNSET", _DIGEST[:-1], f"{_DIGEST}\n", "sha256:$(touch canary)"]
)
def test_what_is_no_digest_is_refused(file: Path, digest: str) -> None:
    before = file.read_text()
    assert main(["image", "pin", digest]) == 2
    assert file.read_text() == before
