"""Weights of any size: what a build takes of memory does not grow with them, its disk by two."""

import json
import subprocess
import sys

import pytest

_WEIGHTS = 240 << 20

_BUILD = """
import json, pathlib, resource, sys, threading
from harness.core.repository import Repository
from harness.models import build
from harness.models.catalog import load_catalog

root = pathlib.Path(sys.argv[1])
repository = Repository(root)
peak, finished = 0, threading.Event()

def watch():
    global peak
    while not finished.wait(0.005):
        try:
            blocks = [each.lstat().st_blocks for each in (root / "build").rglob("*")]
        except FileNotFoundError:  # it was there when the folder was listed
            continue
        peak = max(peak, 512 * sum(blocks))

watcher = threading.Thread(target=watch)
watcher.start()
build.make(repository, load_catalog(repository.models).models["tiny"])
finished.set()
watcher.join()
memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"memory": memory, "disk": peak}))
"""


@pytest.fixture
def cost(tiny) -> dict[str, int]:
    """Peaks of a build whose weights are the first, in bytes; nothing of them is on disk before."""
    with (tiny.models / "tiny" / "tiny.pt").open("wb") as weights:
        weights.truncate(_WEIGHTS)
    argv = [sys.executable, "-c", _BUILD, str(tiny.root)]
    printed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return json.loads(printed)


def test_a_build_holds_no_file_in_memory_and_two_of_them_on_disk(cost):
    assert cost["memory"] < _WEIGHTS / 2
    # The archive, and what the reference answers are asked of: its unpacked files.
    assert _WEIGHTS < cost["disk"] <= 2.2 * _WEIGHTS
