"""What the models' own choices buy: memory layout, imports, and not building again."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import Figure
from harness.core import repository
from harness.models.build import build

_ROUNDS = 5
_BATCH = 8

_FORWARD = """
import sys, time, warnings
warnings.simplefilter("ignore")
sys.path[:0] = ["models", "models/squeezenet1_1"]
import torch
torch.set_num_threads(1)
images = torch.rand({batch}, 3, 224, 224)
{network}
with torch.inference_mode():
    for _ in range(3):
        network(images)
    started = time.process_time()
    for _ in range(5):
        network(images)
print(5 * {batch} / (time.process_time() - started))
"""
_OURS = """
from network import SqueezeNet
images = images.to(memory_format=torch.channels_last)
network = SqueezeNet().eval().to(memory_format=torch.channels_last)
"""
_TORCHVISION = """
from torchvision.models import squeezenet1_1
network = squeezenet1_1().eval()
"""


def run() -> list[Figure]:
    """Figures of CPU time, so that other work on the machine matters less."""
    return [
        _beside(
            "squeezenet1_1, images a second on one core (batch 8)",
            "image/s",
            lambda: _printed_figure(_FORWARD.format(batch=_BATCH, network=_OURS)),
            "torchvision's, contiguous",
            lambda: _printed_figure(_FORWARD.format(batch=_BATCH, network=_TORCHVISION)),
        ),
        _beside(
            "what a worker of squeezenet1_1 imports",
            "s of CPU",
            lambda: _imports("torch, PIL.Image, numpy"),
            "with torchvision",
            lambda: _imports("torch, PIL.Image, numpy, torchvision"),
        ),
        _beside(
            "harness models build when nothing changed",
            "s",
            lambda: _build(rebuild=False),
            "when everything is built",
            lambda: _build(rebuild=True),
            rounds=2,
        ),
    ]


def _beside(
    name: str,
    unit: str,
    ours: Callable[[], float],
    peer: str,
    theirs: Callable[[], float],
    rounds: int = _ROUNDS,
) -> Figure:
    """Measure both by turns, so that what disturbs the one disturbs the other."""
    theirs(), ours()  # neither pays for a cold disk
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    values = [pair[0] for pair in pairs]
    value, peer_value = (statistics.median(column) for column in zip(*pairs, strict=True))
    spread = (max(values) - min(values)) / value
    return Figure(name, value, unit, peer, peer_value, value / peer_value, spread)


def _printed_figure(code: str) -> float:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return float(process.stdout)


def _imports(modules: str) -> float:
    quiet = "import time, warnings; warnings.simplefilter('ignore')"
    return _printed_figure(f"{quiet}\nimport {modules}\nprint(time.process_time())")


def _build(*, rebuild: bool) -> float:
    started = time.perf_counter()
    build(repository.find(), rebuild=rebuild)
    return time.perf_counter() - started
