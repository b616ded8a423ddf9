"""What TorchServe gets wrong, found before it starts: each fault with its place, all in one go.

    preflight.check(Path("build/serve/local/config.properties"))

TorchServe ends with a stack trace, or worse: it logs one line, skips the models that follow and
calls itself Healthy.
"""

from collections.abc import Sequence
from pathlib import Path

from harness.snapshot.config import ModelFile


def check(config: Path, *, files: Sequence[ModelFile] = (), gpus: int | None = None) -> None:
    """Judge a config.properties together with the model store that it names.

    Args:
        config: the file that TorchServe would be started with.
        files: what the archives must be, where that is known.
        gpus: how many GPUs this machine has, where that is known.

    Raises:
        InputError: every fault, each a line ``file:line: what is wrong``.
    """
    raise NotImplementedError
