"""What is known of models goes into a file, and comes back whole."""

from pathlib import Path

import pytest

from harness.canary import known
from harness.core.errors import InputError, UsageError
from tests.canary.test_shadow import GROUPS


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "samples.json"
    known.write(path, {"staging": GROUPS, "production": {}})
    assert known.read(path, "staging") == {
        group: {name: tuple(samples) for name, samples in models.items()}
        for group, models in GROUPS.items()
    }


def test_an_environment_that_it_does_not_know_is_named(tmp_path: Path) -> None:
    known.write(tmp_path / "samples.json", {"staging": GROUPS})
    with pytest.raises(UsageError, match="knows staging, and no qa"):
        known.read(tmp_path / "samples.json", "qa")


@pytest.mark.parametrize("content", ["", "3", '{"qa": {"g": {"m": [{}]}}}'])
def test_a_file_of_something_else_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "samples.json"
    path.write_text(content)
    with pytest.raises(InputError, match="no samples of models") as raised:
        known.read(path, "qa")
    assert str(path) in str(raised.value.at)
