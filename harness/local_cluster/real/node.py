"""The first process of a node: its mounts, then a supervisor for containerd, kubelet and the rest.

    unshare --mount --pid --fork --kill-child --mount-proc nsenter --net=/run/netns/node-0 \
        python -m harness.local_cluster.real.node build/cluster/local/node-0

When it ends, the kernel ends every process of the node, containers included, and its mounts.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from harness.local_cluster.real import control_groups

# The kubelet wants these and would set them for the whole machine: it finds them set.
_KERNEL = {
    "kernel/keys/root_maxbytes": "25000000",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
}
# Of the node's own network namespace: pods of one node pass its policies too.
_NETWORK = ("ipv4/ip_forward", "bridge/bridge-nf-call-iptables")


def argv(name: str, folder: Path) -> list[str]:
    """Return the words that run a node, inside its sandbox.

    Args:
        name: of the node, and of its network namespace.
        folder: with the plan and the settings of its components.
    """
    return [
        "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
        "nsenter", f"--net=/run/netns/{name}",
        sys.executable, "-m", "harness.local_cluster.real.node", str(folder),
    ]  # fmt: skip


def prepare(folder: Path) -> None:
    """Make the mounts, kernel settings and control groups of the node that this process is in."""
    _mount("-t", "tmpfs", "tmpfs", "/run")
    for name, setting in _KERNEL.items():
        file = folder / "sys" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{setting}\n")
        _mount("--bind", str(file), f"/proc/sys/{name}")
    for name in _NETWORK:
        Path("/proc/sys/net", name).write_text("1\n")


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def main() -> int:
    """Run the node of a folder; reap what its containers leave behind."""
    parser = argparse.ArgumentParser(prog="node", description=__doc__)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    prepare(args.folder)
    control_groups.make(args.folder.parent, args.folder.name)
    command = [sys.executable, "-m", "harness.local_cluster.supervisor", str(args.folder)]
    supervisor = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: supervisor.terminate())
    while True:
        pid, status = os.wait()
        if pid == supervisor.pid:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
