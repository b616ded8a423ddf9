"""Makes controllers late, at random, to find scenarios that rely on their being in time.

A scenario that waits for what one component says and then asserts what another has made of it
passes on a quiet machine and fails on a busy one, once in a while. Here each component's process
stands still for up to so many seconds, goes on for as long, and so on.
"""

import contextlib
import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.local_cluster import local, supervisor
from harness.local_cluster.process import Process

_LATE = set(local.PROGRAMS) - {"etcd", "kube-apiserver"}  # these two do nothing unasked
_TICK = 0.1  # seconds between two looks


def begin(clusters: Path, most: float) -> Callable[[], None]:
    """Make the controllers of every cluster in a folder late; return what ends it.

    Args:
        clusters: holds a folder for each cluster, as build/cluster does.
        most: seconds that one of them stands still.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_work, args=(clusters, most, ended), daemon=True)
    thread.start()

    def end() -> None:
        ended.set()
        thread.join()

    return end


def _work(clusters: Path, most: float, ended: threading.Event) -> None:
    drawn = random.Random()  # noqa: S311
    stands: dict[Process, bool] = {}
    due: dict[Process, float] = {}
    while not ended.wait(_TICK):
        for each in _processes(clusters):
            if time.monotonic() >= due.get(each, 0.0):
                stands[each] = not stands.get(each, True)
                each.signal(signal.SIGSTOP if stands[each] else signal.SIGCONT)
                due[each] = time.monotonic() + drawn.uniform(0, most)
    for each in stands:
        each.signal(signal.SIGCONT)


def _processes(clusters: Path) -> Iterator[Process]:
    for folder in clusters.glob("*"):
        with contextlib.suppress(OSError, json.JSONDecodeError):  # it is being taken away
            state = supervisor.read_state(folder)
            for name in _LATE:
                if state and name in state.components and state.components[name].phase == "ready":
                    yield state.components[name].process
