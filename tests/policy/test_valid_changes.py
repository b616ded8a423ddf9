"""What is right passes with no finding: the repository as it is, and sound changes to it."""

from pathlib import Path

import pytest

from harness.policy import engine
from tests.support import variation


def test_unchanged_repository_has_no_finding(tmp_path: Path) -> None:
    assert engine.check(variation.copy(tmp_path)).findings == ()


@pytest.mark.parametrize("folder", variation.folders("valid"), ids=lambda folder: str(folder.name))
def test_valid_change_has_no_finding(folder: Path, tmp_path: Path) -> None:
    assert variation.load(folder).check(tmp_path).findings == ()
