"""Fewer GPUs than were asked for: TorchServe would serve from the CPU without a word."""

from pathlib import Path

import pytest

from harness.launcher import gpus
from harness.launcher.health import Health
from harness.launcher.worker_log import WorkerLog
from tests.launcher.conftest import Site, Start
from tests.support.processes import eventually


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("nvidia_smi", "reason"),
    [
        (None, "number_of_gpu is 2, and there is no GPU: nvidia-smi is not in the container"),
        ("echo 0", "number_of_gpu is 2, and nvidia-smi lists 1"),
        (
            "echo 'NVIDIA-SMI has failed' >&2; exit 9",
            "number_of_gpu is 2, and nvidia-smi lists 0: NVIDIA-SMI has failed",
        ),
        ("printf '0\\n1\\n'", ""),
        ("printf '0\\n1\\n2\\n'", ""),
    ],
)
def test_gpus_that_are_missing_are_counted(
    programs: Path, nvidia_smi: str | None, reason: str
) -> None:
    if nvidia_smi:
        program(programs / "nvidia-smi", nvidia_smi)
    assert gpus.missing(2) == reason
    assert gpus.missing(0) == ""


def test_other_makers_gpus_are_not_counted(programs: Path) -> None:
    program(programs / "rocm-smi", "exit 1")
    assert gpus.missing(2) == ""


def test_a_server_without_its_gpus_is_alive_and_never_ready() -> None:
    health = Health(WorkerLog(lambda: None), hung_seconds=30, recovery_seconds=60)
    health.missing_gpus = "number_of_gpu is 1, and nvidia-smi lists 0"
    health.on_response()
    assert health.ready() == (False, "number_of_gpu is 1, and nvidia-smi lists 0")
    assert health.live()[0]


@pytest.mark.torchserve
def test_a_pod_without_the_gpu_that_it_asked_for_says_so(site: Site, start: Start) -> None:
    site.settings["number_of_gpu"] = "1"
    launcher = start(site, PATH="/bin:/usr/bin")
    eventually(lambda: launcher.gauge("launcher_workers_ready") == 1)
    status, text = launcher.ask("/ready")
    assert status == 503
    assert "number_of_gpu is 1" in text
    # All models have loaded, on the CPU; a restart may find the GPU that this start has not.
    assert launcher.ask("/startup") == (status, text)
    assert launcher.ask("/live")[0] == 200
    assert "never ready: number_of_gpu is 1" in launcher.messages()
