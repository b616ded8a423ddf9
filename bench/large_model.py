"""What a model with large weights costs to build: memory, and disk as a multiple of the weights.

WEIGHTS_GB=15 .venv/bin/python -m bench large_model    # by default 1
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import Figure
from harness.core.repository import Repository
from harness.models import build
from harness.models.catalog import load_catalog

_MODEL = """\
name: large
version: "1"
description: Says what lies in the middle of its weights.
license: {code: MIT, weights: MIT}
artifact: {torchscript: {file: large.pt}}
handler: handler.py
reference: reference.py
samples: [{name: middle, file: handler.py, contentType: text/plain}]
"""
_REFERENCE = """\
def load(folder):
    path = folder / "large.pt"
    with path.open("rb") as file:
        file.seek(path.stat().st_size // 2)
        middle = file.read(5).decode()
    return lambda body: middle
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one build: peak memory and disk in bytes, the time in seconds."""

    memory: int
    disk: int
    seconds: float


def run() -> list[Figure]:
    """Build a model with made weights, whose reference answers are asked for too."""
    size = int(float(os.environ.get("WEIGHTS_GB", "1")) * 1e9)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        cost = measure(Path(folder), size)
    name = f"build of {size / 1e9:g} GB of weights"
    return [
        Figure(f"{name}: peak memory", cost.memory / 1e6, "MB"),
        Figure(f"{name}: peak disk", cost.disk / size, "times the weights"),
        Figure(f"{name}: time", cost.seconds, "s"),
    ]


def measure(root: Path, size: int) -> Cost:
    """Build a model of ``size`` bytes in a process of its own."""
    home = root / "models" / "large"
    home.mkdir(parents=True)
    (home / "model.yaml").write_text(_MODEL)
    (home / "reference.py").write_text(_REFERENCE)
    (home / "handler.py").write_text("def handle(data, context): return data\n")
    with (home / "large.pt").open("wb") as weights:
        weights.truncate(size)  # takes no room; the archive does
        weights.seek(size // 2)
        weights.write(b"here!")
    argv = [sys.executable, "-m", "bench.large_model", str(root)]
    printed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return Cost(**json.loads(printed))


def _build(root: Path) -> Cost:
    repository = Repository(root)
    started = time.monotonic()
    with _peak_disk(root / "build") as peaks:
        build.make(repository, load_catalog(repository.models).models["large"])
    seconds = time.monotonic() - started
    return Cost(memory=_peak_memory(), disk=max(peaks), seconds=seconds)


def _peak_memory() -> int:
    """The peak of this process alone: ``getrusage`` begins with what its parent had."""
    status = Path("/proc/self/status").read_text()
    [line] = [each for each in status.splitlines() if each.startswith("VmHWM:")]
    return 1024 * int(line.split()[1])


@contextmanager
def _peak_disk(folder: Path) -> Iterator[list[int]]:
    peaks, finished = [0], threading.Event()

    def watch() -> None:
        while not finished.wait(0.005):
            try:
                blocks = [each.lstat().st_blocks for each in folder.rglob("*")]
            except FileNotFoundError:  # it was there when the folder was listed
                continue
            peaks[0] = max(peaks[0], 512 * sum(blocks))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        finished.set()
        watcher.join()


if __name__ == "__main__":
    print(json.dumps(asdict(_build(Path(sys.argv[1])))))
