"""Generators that run elsewhere, and generators that die."""

import contextlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from harness import loadtest
from harness.core.errors import HarnessError
from harness.loadtest import Target, generator
from harness.loadtest.swarm import Workers
from tests.loadtest.cases import profile

LENIENT = {"lateness": 500, "drift": 100, "generatorCpu": 1}
LOCUSTFILE = Path(generator.__file__).with_name("locustfile.py")


def test_a_generator_elsewhere_needs_only_the_address(stub: str, tmp_path: Path) -> None:
    """It gets the plan from the master: its environment names no file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--worker"]
    words += ["--master-host", "127.0.0.1", "--master-port", port]
    load = profile(
        arrivals="constant", stages=[{"kind": "hold", "seconds": 2, "rate": 50}], judge=LENIENT
    )
    worker = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        workers = Workers(processes=0, remote=1, listen=f"127.0.0.1:{port}")
        report = loadtest.run(load, Target(stub), {}, tmp_path, workers=workers)
    finally:
        worker.kill()
        worker.wait()
    assert (report.requests, report.failures, report.verdict) == (100, 0, "pass")


def test_generators_that_die_are_reported_and_leave_no_process(stub: str, tmp_path: Path) -> None:
    load = profile(stages=[{"kind": "hold", "seconds": 60, "rate": 20}])
    killed: list[int] = []

    def kill() -> None:
        while not killed:
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):  # one that has just ended
                    if str(LOCUSTFILE) in child.cmdline():
                        os.kill(child.pid, signal.SIGKILL)
                        killed.append(child.pid)
            threading.Event().wait(0.2)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(HarnessError, match="generators stopped"):
        loadtest.run(load, Target(stub), {}, tmp_path)
    killer.join()
    assert not any(psutil.pid_exists(pid) for pid in killed)


def _run_for_a_minute(url: str, folder: Path) -> None:
    load = profile(stages=[{"kind": "hold", "seconds": 60, "rate": 20}])
    loadtest.run(load, Target(url), {}, folder, workers=Workers(processes=2))


def test_generators_end_with_a_run_that_is_killed(stub: str, tmp_path: Path) -> None:
    run = multiprocessing.get_context("spawn").Process(
        target=_run_for_a_minute, args=(stub, tmp_path)
    )
    run.start()
    children: list[psutil.Process] = []  # a master and two workers
    while sum(str(LOCUSTFILE) in child.cmdline() for child in children) < 3:
        children = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    run.join()
    _, alive = psutil.wait_procs(children, timeout=10)
    for child in alive:
        child.kill()
    assert alive == []
