"""Errors of a GPU that leave a worker's process unable to use it until the process ends.

Of these CUDA's documentation says: "This leaves the process in an inconsistent state and any
further CUDA work will return the same error. To continue using CUDA, the process must be terminated
and relaunched" (CUDA Runtime API, cudaError; the texts are cudaGetErrorString's). TorchServe takes
whatever has "CUDA" in it for "out of memory", answers 507 and keeps the worker (ts/service.py).

Running out of memory is not among them: it passes. Nor is what a bad request alone can cause in a
healthy process (invalid value, bad parameter, not supported).
"""

import re

_CUDA = (
    "uncorrectable ECC error encountered",
    "uncorrectable NVLink error detected during the execution",
    "an illegal memory access was encountered",
    "the launch timed out and was terminated",
    "device-side assert triggered",
    "hardware stack error",
    "an illegal instruction was encountered",
    "misaligned address",
    "operation not supported on global/shared address space",
    "invalid program counter",
    "unspecified launch failure",
    "unknown error",
)
_LIBRARIES = (
    "CUBLAS_STATUS_EXECUTION_FAILED",
    "CUBLAS_STATUS_MAPPING_ERROR",
    "CUDNN_STATUS_EXECUTION_FAILED",
    "CUDNN_STATUS_MAPPING_ERROR",
    "NCCL error",
    "NCCL Error",
    "cufftError: CUFFT_EXEC_FAILED",
)
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
