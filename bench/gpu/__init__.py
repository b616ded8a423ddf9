"""What only a GPU can show, on a machine that has one and PyTorch with CUDA but no package index.

    python -m bench.gpu pack                      here: build/bench/gpu/bundle.tar.xz
    tar -xf bundle.tar.xz && cd bundle            there
    PYTHONPATH=site:. python3 -m bench.gpu run    there, in 8 minutes: out/report.json, report.md

The machine needs Linux on x86-64, a driver with nvidia-smi, and a Python (`pack --python`, by
default 3.12) with PyTorch, torchvision and NumPy. Everything else travels: TorchServe and the JARs
that replace its own, a JRE, this harness with the launcher, and what the models are built from.

``run --stand-in`` runs every line on a CPU, with an nvidia-smi that is a script and a CUDA error
that is only raised. Its report says so, and claims no figure.
"""

import shutil

from bench import Figure


def run() -> list[Figure]:
    """What `make bench` shows of it: nothing without a GPU."""
    if not shutil.which("nvidia-smi"):
        return []
    from bench.gpu import report, steps

    return report.figures(steps.run_all(stand_in=False))
