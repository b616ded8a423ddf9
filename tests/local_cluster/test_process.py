"""Only our own processes are ever signalled."""

import signal
import subprocess
import sys

from harness.local_cluster import process


def test_a_pid_that_was_given_again_is_left_alone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        ours = process.Process(stranger.pid, process.of(stranger.pid).started - 1)
        ours.signal(signal.SIGKILL)
        ours.stop(0)
        assert not ours.alive
        assert stranger.poll() is None


def test_stop_ends_one_that_does_not_listen() -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as deaf:
        assert deaf.stdout
        deaf.stdout.readline()
        process.of(deaf.pid).stop(0.1)
        assert deaf.wait(20) == -signal.SIGKILL
        deaf.stdout.close()
