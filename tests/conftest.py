"""What every test stands on: a clean environment, and the versions that a report needs."""

import importlib.metadata
import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from harness.core.repository import Repository
from tests.support.miniature import Miniature

# A deadline of one example would judge the machine, not the code. A change is judged by the same
# examples as the one before it; `--hypothesis-profile=search` looks for new ones.
hypothesis.settings.register_profile("house", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, derandomize=False, max_examples=2_000)
hypothesis.settings.load_profile("house")

# A script's background job has Ctrl-C ignored, and so would every server that a test starts there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_STRAY = ("AWS_", "KUBECONFIG", "TS_", "MODEL_", "LOCUST_", "HARNESS_")


def pytest_report_header() -> str:
    names = ("torchserve", "torch", "locust", "pydantic", "hypothesis")
    # `make setup TORCH=none` is enough for the cluster's tests.
    installed = [
        name for name in names if importlib.util.find_spec(name.replace("torchserve", "ts"))
    ]
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in installed)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may depend on, or reach, what the caller's shell points at."""
    for name in os.environ:
        if name.startswith(_STRAY):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def checkout() -> Repository:
    """This very repository."""
    return Repository(Path(__file__).parent.parent)


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """A path under which nothing can be created, for root too: its parent is a file."""
    file = tmp_path / "a-file"
    file.write_text("not a folder")
    yield file / "below"


@pytest.fixture
def miniature(tmp_path: Path, checkout: Repository) -> Miniature:
    """A small repository to change, with this checkout's tools."""
    return Miniature(tmp_path / "repository", checkout)
