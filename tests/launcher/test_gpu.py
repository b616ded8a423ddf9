"""nvidia-smi takes a second a call; TorchServe asks it for each worker, and nobody waits for it."""

import os
import time
from pathlib import Path

import pytest

from tests.launcher.conftest import Site, Start
from tests.support.processes import eventually

pytestmark = pytest.mark.torchserve
SLOW = float(os.environ.get("SLOW_NVIDIA_SMI", "1"))
WORKERS = int(os.environ.get("GPU_WORKERS", "2"))  # SLOW_NVIDIA_SMI=1 GPU_WORKERS=8 is a large node


@pytest.fixture
def nvidia_smi(tmp_path: Path) -> Path:
    """Counts its calls but for that of the start, and takes its time."""
    calls = tmp_path / "calls"
    folder = tmp_path / "programs"
    folder.mkdir()
    program = folder / "nvidia-smi"
    gpus = "\n".join(f"echo {index}" for index in range(WORKERS))
    program.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *=index*) echo index\n{gpus}\nexit ;; esac\n'
        f'echo "$*" >> {calls}\nsleep {SLOW}\n'
        'echo "utilization.gpu [%], utilization.memory [%], memory.used [MiB]"\n'
        'echo "1 %, 2 %, 3 MiB"\n'
    )
    program.chmod(0o755)
    calls.touch()
    return calls


def test_no_call_waits_for_nvidia_smi(site: Site, start: Start, nvidia_smi: Path) -> None:
    site.settings["number_of_gpu"] = str(WORKERS)
    path = f"{nvidia_smi.parent / 'programs'}{os.pathsep}{os.environ['PATH']}"
    launcher = start(site, PATH=path)
    eventually(launcher.is_ready)
    answers = launcher.predict_together(20)
    begun = time.monotonic()
    for _ in range(4):
        assert launcher.gauge("launcher_queue_depth") >= 0
        assert launcher.gauge("launcher_workers_ready") == 1
    assert time.monotonic() - begun < 4 * SLOW
    assert [answer.result() for answer in answers] == [200] * 20
    assert launcher.predict(b"nvidia-smi") == 200
    assert launcher.end() == 143
    # The model's own call reached the real one, with its own arguments; nobody else's did.
    assert nvidia_smi.read_text().splitlines() == ["-i 0 --query-gpu=memory.used --format=csv"]
