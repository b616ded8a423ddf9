"""Whether there are as many GPUs as were asked for: TorchServe takes what it finds without a word,
and serves from the CPU if it finds none.
"""

import shutil
from subprocess import SubprocessError, run

_QUERY = ("--query-gpu=index", "--format=csv,noheader")  # TorchServe's own, in SystemInfo
_SECONDS = 30.0  # for a driver that wakes up a large node
_OTHERS = ("rocm-smi", "xpu-smi")  # AMD's and Intel's GPUs, which are not counted here


def missing(requested: int) -> str:
    """Why fewer GPUs are there than are ``requested``; empty if they are all there."""
    if requested == 0 or any(map(shutil.which, _OTHERS)):
        return ""
    request, program = f"number_of_gpu is {requested}, and", shutil.which("nvidia-smi")
    if program is None:
        return f"{request} there is no GPU: nvidia-smi is not in the container"
    try:
        listed = run(
            [program, *_QUERY], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, SubprocessError) as error:
        return f"{request} nvidia-smi cannot be asked: {error}"
    count = sum(line.strip().isdigit() for line in listed.stdout.splitlines())
    if count >= requested:
        return ""
    why = f": {listed.stderr or listed.stdout}".rstrip(": \n") if listed.returncode else ""
    return f"{request} nvidia-smi lists {count}{why}"
