"""Becomes the first process of a sandbox, makes its network, and runs a command in it.

    exec 9< /proc/self/ns/net; unshare --net --mount python -m …real.sandbox 2 COMMAND…

The network and everything in it ends with the last process of the sandbox.
"""

import os
import subprocess
import sys
from pathlib import Path

from harness.local_cluster.real.network import NodeNetwork, commands

MACHINE = Path("/run/machine")
"""In a sandbox, the network namespace that it was started from."""

_OUTSIDE = 9  # the open file of it, until it has its name


def argv(nodes: int, command: list[str]) -> list[str]:
    """Return the words that run ``command`` in a new sandbox with so many nodes' networks."""
    module = "harness.local_cluster.real.sandbox"
    enter = f'exec {_OUTSIDE}< /proc/self/ns/net; exec unshare --net --mount "$@"'
    return ["sh", "-c", enter, "sh", sys.executable, "-m", module, str(nodes), *command]


def main() -> int:
    """Make the network, then become the command."""
    nodes = [NodeNetwork(number) for number in range(int(sys.argv[1]))]
    # `ip netns` keeps its names in /run: these are the sandbox's own.
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    MACHINE.touch()
    outside = f"/proc/self/fd/{_OUTSIDE}"
    subprocess.run(["mount", "--bind", outside, MACHINE], check=True, pass_fds=[_OUTSIDE])
    for line in commands(nodes):
        subprocess.run(line.split(), check=True)
    os.close(_OUTSIDE)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606
    return 0


if __name__ == "__main__":
    sys.exit(main())
