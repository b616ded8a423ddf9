"""What `harness canary pin` and `samples` write: a digest, what is known, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest

from harness.cli import main
from harness.core.repository import Repository

_FILES = [f"infra/canary/configs/{name}-deployment.yaml" for name in ("gate", "shadow")]
_DIGEST = f"sha256:{'0a' * 32}"


@pytest.fixture
def tree(tmp_path: Path, checkout: Repository, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("models", "clusters", "infra/canary/configs"):
        (tmp_path / folder).mkdir(parents=True)
    for file in _FILES:
        shutil.copyfile(checkout.root / file, tmp_path / file)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_both_run_it_and_one_line_of_each_changes(tree: Path) -> None:
    before = [(tree / file).read_text().splitlines() for file in _FILES]
    assert main(["canary", "pin", _DIGEST]) == 0
    after = [(tree / file).read_text().splitlines() for file in _FILES]
    for old, new in zip(before, after, strict=True):
        changed = [each for each in zip(old, new, strict=True) if each[0] != each[1]]
        image = "          image: ${REGISTRY}/torchserve@"
        assert changed == [(f"{image}sha256:UNSET", f"{image}{_DIGEST}")]


def test_what_it_wrote_is_said_as_json(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for changed in (True, False):
        assert main(["canary", "pin", _DIGEST, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == [
            {"file": file, "digest": _DIGEST, "changed": changed} for file in _FILES
        ]


def test_where_the_samples_are_is_said_as_json(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["canary", "samples", "--json"]) == 0
    assert (tree / json.loads(capsys.readouterr().out)["file"]).read_text() == "{}"


def test_a_file_without_the_image_is_named_and_nothing_is_written(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate, shadow = (tree / file for file in _FILES)
    shadow.write_text(shadow.read_text().replace("${REGISTRY}/torchserve@", "mine.example/gate:"))
    before = gate.read_text()
    assert main(["canary", "pin", _DIGEST]) == 1
    assert f"{_FILES[1]}: " in capsys.readouterr().err
    assert gate.read_text() == before


@pytest.mark.parametrize(
    "digest", ["", "latest", "sha256:UNSET", _DIGEST[:-1], f"{_DIGEST}\n", "sha256:$(touch canary)"]
)
def test_what_is_no_digest_is_refused(tree: Path, digest: str) -> None:
    before = [(tree / file).read_text() for file in _FILES]
    assert main(["canary", "pin", digest]) == 2
    assert [(tree / file).read_text() for file in _FILES] == before
