import signal
import subprocess
import sys

from harness.local_cluster import process
from tests.support.processes import eventually

_PARENT = """
import subprocess
from tests.support.parent_death import bind_to_parent
child = subprocess.Popen(bind_to_parent(["sleep", "60"]))
print(child.pid, flush=True)
child.wait()
"""


def test_bound_program_ends_with_whoever_started_it_by_kill_nine_too() -> None:
    argv = [sys.executable, "-c", _PARENT]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = process.of(int(parent.stdout.readline()))
        assert child.alive
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not child.alive)
