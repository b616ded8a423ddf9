"""The sync Job's program in the image: how the chart calls it, and that it stands alone."""

import re
import subprocess
import sys
from pathlib import Path

from harness.core.repository import Repository


def test_it_starts_alone_and_takes_the_charts_arguments(
    checkout: Repository, tmp_path: Path
) -> None:
    containerfile = (checkout.root / "apps/torchserve/image/Containerfile").read_text()
    assert "COPY harness/model_sync /opt/serving/model_sync\n" in containerfile
    (tmp_path / "model_sync").symlink_to(checkout.root / "harness" / "model_sync")
    process = subprocess.run(
        [sys.executable, "-P", "-m", "model_sync", "--help"],
        cwd="/",
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 0, process.stderr
    job = checkout.root / "apps/torchserve/chart/templates/model-sync-job.yaml"
    options = re.findall(r"^ +- (--[a-z]+)=", job.read_text(), re.MULTILINE)
    assert options == ["--source", "--files", "--config", "--store"]
    assert all(f"{option} " in process.stdout for option in options)
