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

_TEXTS = Path(__file__).with_name("device_errors.txt").read_text()
_CUDA = re.findall(r"CUDA: (.+)", _TEXTS)
_LIBRARIES = re.findall(r"Library: (.+)", _TEXTS)
# The last line of a traceback: an error of PyTorch's own types, so that a model which repeats its
# input in another error does not look like it.
_RAISED = re.compile(
    r"(?:RuntimeError|torch\.(?:\w+\.)*\w*Error): (?:"
    rf"CUDA (?:driver )?error: (?:{'|'.join(map(re.escape, _CUDA))})"
    rf"|.*(?:{'|'.join(map(re.escape, _LIBRARIES))}))"
)


def device_error(line: str) -> str | None:
    """``line`` if it is the end of a traceback of such an error, else None."""
    return line if _RAISED.match(line) else None
