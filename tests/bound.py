"""Programs that end with the process that started them, however that one ends.

subprocess.Popen(bound(["crane", "registry", "serve"]))
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h; it outlives exec, and counts the thread that forked


def bound(argv: Sequence[object]) -> list[str]:
    """What starts ``argv`` so that the kernel kills it with the calling thread."""
    return [sys.executable, __file__, str(os.getpid()), *map(str, argv)]


def main() -> None:
    """Set it in the child itself: a fork that runs Python may hang where there are threads."""
    parent, *argv = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == int(parent):  # else it ended before the line above
        os.execvp(argv[0], argv)  # noqa: S606  what the test starts, and no shell


if __name__ == "__main__":
    main()
