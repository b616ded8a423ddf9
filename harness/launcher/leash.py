"""A process group that ends with the process that made it, however that ends: killed, too."""

import sys
from subprocess import PIPE, Popen

# Its standard input closes with its parent. The kill takes the whole group, itself included.
_PROGRAM = "import os, sys; sys.stdin.read(); os.killpg(0, 9)"


def leash() -> Popen[bytes]:
    """Start the leader of a new process group; what else joins the group ends with this process.

    Keep the object: when its ``stdin`` is closed, the group ends too.
    """
    return Popen([sys.executable, "-ISc", _PROGRAM], stdin=PIPE, process_group=0)
