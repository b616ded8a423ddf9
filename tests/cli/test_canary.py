"""`harness canary pin` writes the digest of what decides about canaries, and nothing else."""

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


@pytest.mark.parametrize("digest", ["", "latest", "sha256:UNSET", _DIGEST[:-1]])
def test_what_is_no_digest_is_refused(tree: Path, digest: str) -> None:
    before = [(tree / file).read_text() for file in _FILES]
    assert main(["canary", "pin", digest]) == 2
    assert [(tree / file).read_text() for file in _FILES] == before
