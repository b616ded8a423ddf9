"""The benchmark for a GPU, every line of it, on a CPU: it claims nothing, and has to pass."""

import json
from pathlib import Path

import pytest

from bench.gpu import report, steps


@pytest.mark.torchserve
def test_every_step_passes_with_a_stand_in_and_no_figure_is_claimed(tmp_path: Path) -> None:
    results = steps.run_all(stand_in=True, seconds=1)
    assert [(each.step, each.notes) for each in results if not each.passed] == []
    assert [each for each in results if each.figures] == []
    report.write(tmp_path, results)
    assert len(json.loads((tmp_path / "report.json").read_text())) == len(results) == 7
    assert "stand-in" in (tmp_path / "report.md").read_text()
