"""Errors of a GPU that leave a worker's process unable to use it until the process ends.

Of these CUDA's documentation says: "This leaves the process in an inconsistent state and any
further CUDA work will return the same error. To continue using CUDA, the process must be terminated
and relaunched" (CUDA Runtime API, cudaError; the texts are cudaGetErrorString's). TorchServe takes
whatever has "CUDA" in it for "out of memory", answers 507 and keeps the worker (ts/service.py).

Running out of memory is not among them: it passes. Nor is what a bad request alone can cause in a
healthy process (invalid value, bad parameter, not supported).
"""

import re
from pathlib import Path

# One regular expression a line.
_TEXTS = Path(__file__).with_name("device_errors.txt").read_text().splitlines()
# The last line of a traceback: an error of PyTorch's own types, so that a model which repeats its
# input in another error does not look like it.
_RAISED = re.compile(rf"(?:RuntimeError|torch\.(?:\w+\.)*\w*Error): (?:{'|'.join(_TEXTS)})")


def device_error(line: str) -> str | None:
    """``line`` if it is the end of a traceback of such an error, else None."""
    return line if _RAISED.match(line) else None
