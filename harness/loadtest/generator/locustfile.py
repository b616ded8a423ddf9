"""The load test as locust runs it: one dispatching user per process, between them locust's own
master and workers. Run by ``harness.loadtest.swarm``; by hand, on a second machine:

    locust -f harness/loadtest/generator/locustfile.py --worker --master-host HOST

The master (or the only process) reads the plan named by HARNESS_LOADTEST_PLAN, hands it to its
workers with the moment to begin, and prints what they measured, one JSON object per line:

    {"at": 1700000000.5, "processes": 2}             the schedule's second 0, as Unix time
    {"worker": 0, "due": "base64…", "late": …}       a worker's second; see dispatcher
    {"done": 0}                                      worker 0 has every response
"""

import base64
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
from gevent.event import AsyncResult  # type: ignore[import-untyped]
from gevent.threadpool import ThreadPool  # type: ignore[import-untyped]
from locust import User, events, task
from locust.runners import WorkerRunner

from harness.loadtest.generator.dispatcher import Dispatcher, Window
from harness.loadtest.plan import Plan

_LEAD = 1.0  # seconds between handing the plan out and its second 0: decoding takes part of it

_go: AsyncResult = AsyncResult()


class Generator(User):  # type: ignore[misc]
    """The one user of a process; it lives as long as the schedule."""

    @task  # type: ignore[untyped-decorator]
    def dispatch(self) -> None:
        runner = self.environment.runner
        go = _go.get()
        worker = runner.worker_index

        def report(window: Window) -> None:
            runner.send_message("window", {"worker": worker, **window})

        plan = Plan.model_validate_json(go["plan"])
        Dispatcher(plan, worker, go["processes"], report).run(go["at"])
        runner.send_message("done", {"done": worker})
        gevent.sleep(3600)  # the master ends this process


@events.init.add_listener  # type: ignore[untyped-decorator]
def _register(environment: Any, **_: object) -> None:
    runner = environment.runner
    runner.register_message("go", lambda msg, **_: _go.set(msg.data))
    if isinstance(runner, WorkerRunner):
        return
    output = _Output()
    waiting: set[int] = set()

    def begin(user_count: int, **_: object) -> None:
        at = time.time() + _LEAD
        waiting.update(range(user_count))
        output.print({"at": at, "processes": user_count})
        plan = Path(os.environ["HARNESS_LOADTEST_PLAN"]).read_text()
        runner.send_message("go", {"at": at, "plan": plan, "processes": user_count})

    def finish(environment: Any, msg: Any) -> None:
        output.print(msg.data)
        waiting.discard(msg.data["done"])
        if not waiting:
            environment.process_exit_code = 0
            gevent.spawn(runner.quit)

    environment.events.spawning_complete.add_listener(begin)
    runner.register_message("window", lambda msg, **_: output.print(msg.data))
    runner.register_message("done", finish)


class _Output:
    """Standard output, written to in a thread: a reader that is slow never holds up a request."""

    def __init__(self) -> None:
        self._thread = ThreadPool(1)

    def print(self, message: dict[str, object]) -> None:
        """Write a line; other greenlets go on meanwhile."""
        line = json.dumps(message, default=lambda data: base64.b64encode(data).decode())
        self._thread.apply(self._write, (f"{line}\n",))

    @staticmethod
    def _write(line: str) -> None:
        sys.stdout.write(line)
        sys.stdout.flush()
