"""What the rules about autoscaling know of the servers' metrics is what the servers export."""

import re
from pathlib import Path

from harness.policy.recorded.metrics import LAUNCHER

DOCUMENTED = Path(__file__).parents[3] / "docs/launcher.md"


def test_the_metrics_are_those_that_the_launcher_documents() -> None:
    rows = [line for line in DOCUMENTED.read_text().splitlines() if line.startswith("| `launcher_")]
    names = {name for row in rows for name in re.findall(r"`launcher_(\w+)`", row.split("|")[1])}
    assert names == set(LAUNCHER)
