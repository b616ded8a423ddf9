"""Sends each request when it is due, and records three times for it: due, sent, answered.

A request is due on an absolute schedule. What delays its sending (a busy generator, a full
socket) is its lateness; from sending to the whole response is its service time; both together are
its response time, the one that a user would have waited. The samples of a second leave the process
as packed arrays: making histograms here would cost the sending time it is to measure.
"""

import bisect
import contextlib
import dataclasses
import gc
import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent  # type: ignore[import-untyped]

from harness.loadtest import arrivals, tracing
from harness.loadtest.generator.checker import Checker, NoResponse, Response, now
from harness.loadtest.generator.rest import Rest
from harness.loadtest.plan import Plan, secret
from harness.loadtest.window import DROPPED, Samples

Window = dict[str, Any]

_CHECKS = 20.0  # s for checks that are behind when the last answer has come


class Dispatcher:
    """One generator of several.

    Args:
        worker: which of the ``workers`` generators this one is.
        report: takes each second's window.
    """

    def __init__(
        self, plan: Plan, worker: int, workers: int, report: Callable[[Window], None]
    ) -> None:
        self._plan = plan
        self._worker, self._workers = worker, workers
        self._report = report
        self._pieces = arrivals.chain(plan.levels)
        self._max_in_flight = max(1, plan.max_in_flight // workers)
        token = secret(plan.auth) if plan.auth else None
        self._client = _client(plan, token)
        self._prepared: list[Any] = [self._client.prepare(request) for request in plan.requests]
        self._checker = Checker(plan.requests, token)
        self._in_flight = self._sent = 0
        self._remaining: int | None = None
        self._start = 0.0
        self._samples = Samples()
        with contextlib.suppress(PermissionError):
            # On a machine shared with the server, sending on time comes first. Only root may.
            os.setpriority(os.PRIO_PROCESS, 0, -10)

    def run(self, at: float) -> None:
        """Send everything, the first second beginning at ``at`` (Unix time), and wait for it."""
        gc.collect()
        gc.freeze()  # what exists now stays: each collection looks only at what came after
        self._start = now() + (at - time.time())
        gevent.sleep(max(0.0, self._start - now()))
        self._samples = Samples()
        reporter = gevent.spawn(self._report_each_second)
        if self._plan.arrivals == "closed":
            self._run_closed_loop()
        else:
            self._open()
        while self._in_flight:
            gevent.sleep(0.01)
        self._checker.outside.drain(_CHECKS)
        reporter.kill()
        self._flush()

    def _open(self) -> None:
        due_times = arrivals.due_times(
            self._pieces,
            "poisson" if self._plan.arrivals == "poisson" else "constant",
            seed=self._plan.seed,
            worker=self._worker,
            workers=self._workers,
        )
        start, sleep, spawn, picks = self._start, gevent.sleep, gevent.spawn, self._picks("")
        for due, index in zip(due_times, picks, strict=False):
            wait = start + due - now()
            # Also when late: responses that have arrived are read before the next request leaves.
            sleep(max(0.0, wait))
            if self._in_flight < self._max_in_flight:
                self._in_flight += 1
                spawn(self._send, due, index)
            else:
                self._samples.add(due, 0.0, 0.0, index, DROPPED)

    def _run_closed_loop(self) -> None:
        highest = max(max(piece.first, piece.last) for piece in self._pieces)
        users = range(self._worker, min(int(highest), self._plan.max_in_flight), self._workers)
        if self._plan.count is not None:
            last = max(1, min(int(self._pieces[-1].first), self._plan.max_in_flight))
            self._remaining = arrivals.share(self._plan.count, last, self._worker, self._workers)
        gevent.joinall([gevent.spawn(self._user, number) for number in users])

    def _user(self, number: int) -> None:
        end, last = sum(piece.seconds for piece in self._pieces), self._pieces[-1].start
        picks = self._picks(f"/{number}")
        think = random.Random(f"think/{self._plan.seed}/{number}")  # noqa: S311
        while (due := now() - self._start) < end:
            if arrivals.level(self._pieces, due) <= number:
                gevent.sleep(0.05)
                continue
            if due >= last and self._remaining is not None:
                if not self._remaining:
                    return
                self._remaining -= 1
            self._in_flight += 1
            self._send(due, next(picks))
            if self._plan.pause[1]:
                gevent.sleep(think.uniform(*self._plan.pause))

    def _picks(self, stream: str) -> Iterator[int]:
        """Which request comes next: seeded, by weight."""
        draw = random.Random(f"mix/{self._plan.seed}/{self._worker}{stream}").random  # noqa: S311
        sums = list(itertools.accumulate(request.weight for request in self._plan.requests))
        total, last = sums[-1], len(sums) - 1
        while True:
            yield min(bisect.bisect(sums, draw() * total), last)

    def _send(self, due: float, index: int) -> None:
        self._sent += 1
        number = tracing.number(self._worker, self._sent)
        sampled = tracing.is_sampled(self._sent, self._plan.traced)
        traceparent = tracing.traceparent(self._plan.run, number, sampled=sampled)
        sent = now()
        try:
            response: Response | NoResponse = self._client.send(self._prepared[index], traceparent)
        except NoResponse as error:
            response = error
        answered = first = now()
        self._in_flight -= 1
        if isinstance(response, Response):
            first = response.first
            outcome = self._checker.check(index, response)
        else:
            outcome = self._checker.record_silence(index, response)
        late, service = sent - self._start - due, answered - sent
        trace = number if sampled else 0
        self._samples.add(due, late, service, index, outcome, first - sent, trace)

    def _report_each_second(self) -> None:
        for second in itertools.count(1):
            gevent.sleep(max(0.0, self._start + second - now()))
            self._flush()

    def _flush(self) -> None:
        samples, self._samples = self._samples, Samples()
        window = samples.pack()
        window["in_flight"] = self._in_flight
        window["groups"] = [list(dataclasses.astuple(group)) for group in self._checker.new]
        window["checks"] = self._checker.checks.take()
        self._checker.new.clear()
        self._report(window)


def _client(plan: Plan, token: str | None) -> Any:
    if plan.protocol == "rest":
        return Rest(plan, token)
    # Imported on use: gRPC replaces the process's event handling when it meets gevent.
    from harness.loadtest.generator.rpc import Rpc

    return Rpc(plan, token)
