"""``harness serve`` from start to end, as a process of its own."""

import json
import os
import signal
import subprocess
import sys

import pytest

from harness.core import command
from harness.core.repository import Repository
from tests.support.processes import PATIENCE, eventually, processes

pytestmark = pytest.mark.torchserve


def serve(checkout: Repository) -> "subprocess.Popen[str]":
    """`harness serve --json`, in a group of its own as a terminal would have it."""
    argv = [sys.executable, "-m", "harness", "serve", "--json"]
    return subprocess.Popen(
        argv,
        cwd=checkout.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        process_group=0,
    )


def test_killed_it_takes_all_along_and_starts_again(tiny: Repository) -> None:
    work = tiny.build / "serve" / "local" / "work"
    with serve(tiny) as first:
        eventually(lambda: len(processes(work)) >= 3)  # launcher, JVM, worker
        first.kill()
        eventually(lambda: not processes(work), patience=30)

    with serve(tiny) as second:
        assert second.stdout
        answer = json.loads("".join(iter(second.stdout.readline, "}\n")) + "}")
        (call,) = answer["calls"]
        output = command.run(["bash", "-c", f"{call} --silent --fail"], timeout=PATIENCE).stdout
        assert json.loads(output) == {"ok": True}
        os.killpg(second.pid, signal.SIGINT)  # what Ctrl-C does
        assert second.wait(PATIENCE) == 0
    assert not processes(work)


def test_an_unknown_environment_is_a_usage_error(tiny: Repository) -> None:
    argv = [sys.executable, "-m", "harness", "serve", "--env", "nowhere"]
    process = command.run(argv, timeout=60, cwd=tiny.root, accept=(2,))
    assert "no environment 'nowhere'" in process.stderr
