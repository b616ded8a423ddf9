"""The miniature repository, for changes to comment on."""

from pathlib import Path

import pytest

from harness.core.repository import Repository
from tests.render.conftest import Miniature


@pytest.fixture
def miniature(tmp_path: Path, checkout: Repository) -> Miniature:
    return Miniature(tmp_path / "repository", checkout)
