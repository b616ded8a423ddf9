"""Whether there are as many GPUs as were asked for: TorchServe takes what it finds without a word,
and serves from the CPU if it finds none.
"""

import shutil
from subprocess import DEVNULL, SubprocessError, run

_QUERY = ("--query-gpu=index", "--format=csv,noheader")  # TorchServe's own, in SystemInfo
_SECONDS = 30.0  # for a driver that wakes up a large node
_OTHERS = ("rocm-smi", "xpu-smi")  # AMD's and Intel's GPUs, which are not counted here


def missing(requested: int) -> str:
    """Why fewer GPUs are there than are ``requested``; empty if they are all there."""
    if requested == 0 or any(map(shutil.which, _OTHERS)):
        return ""
    program = shutil.which("nvidia-smi")
    if program is None:
        return (
            f"number_of_gpu is {requested}, and there is no GPU: nvidia-smi is not in the container"
        )
    try:
        listed = run(
            [program, *_QUERY],
            stdin=DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, SubprocessError) as error:
        return f"number_of_gpu is {requested}, and nvidia-smi cannot be asked: {error}"
    count = sum(line.strip().isdigit() for line in listed.stdout.splitlines())
    if count >= requested:
        return ""
    why = (listed.stderr or listed.stdout).strip() if listed.returncode else ""
    return f"number_of_gpu is {requested}, and nvidia-smi lists {count}" + (
        f": {why}" if why else ""
    )
