"""The life of one TorchServe: verify, start, watch, drain, stop."""

import argparse
import contextlib
import queue
import signal
import threading
import time
from collections.abc import Sequence

from . import BadInput, Failure, config, endpoints, gpus, libraries, store
from .connections import Unsupported
from .event import read
from .health import Health
from .in_flight import InFlight
from .jvm import Jvm
from .metrics import metrics
from .output import Output
from .torchserve import Queues, TorchServe, Unanswered
from .tracing import Tracing
from .usefulness import Usefulness
from .worker_log import WorkerLog

_POLL = 1.0  # seconds between two looks while nothing changes
_DRAIN_POLL = 0.25  # seconds between two looks while draining
_LOG_DELAY = 0.5  # seconds, on top of a batch's own delay, until the log says that a worker has it
_STOP = 10.0  # seconds for a drained JVM to stop; it takes less than one
_STOPPED = 128 + signal.SIGTERM


class Supervisor:
    """Runs TorchServe until it ends or is asked to stop."""

    def __init__(self, args: argparse.Namespace, output: Output) -> None:
        self._args, self._output = args, output
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # put is safe in a handler
        self._stops = 0
        self._tracing = Tracing(args.traces) if args.traces else None
        self._config = config.read(args.config)
        self._log = WorkerLog(lambda: self._wake.put(None), self._config.latency_bounds)
        self._health = Health(self._log, args.hung_seconds, args.recovery_seconds)
        self._torchserve = TorchServe(self._config, timeout=args.hung_seconds / 5)
        self._queues = Queues(self._torchserve)
        self._in_flight = InFlight(self._config, self._log, self._torchserve)
        self._java_libraries = libraries.count(args.jars)  # once: the JVM takes no later ones

    def run(self) -> int:
        """Return TorchServe's exit code after a stop that was asked for.

        Raises:
            Failure: TorchServe could not be started, or has ended by itself.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        log = self._output.log
        log(libraries.summary(self._args.jars, self._java_libraries))
        health = self._health
        probes = {"/startup": health.startup, "/ready": health.ready, "/live": health.live}
        endpoints.serve(self._args.host, self._args.port, {**probes, "/metrics": self._metrics})
        served = {model.archive for model in self._config.models.values()}
        archives = store.read(self._args.files, served)
        store.verify(self._config.model_store, archives, lambda: self._stops > 0)
        if self._stops:
            return _STOPPED
        log(f"verified {len(archives)} model archives")
        if blind := self._in_flight.blind:
            log(f"connections cannot be looked at: a drain misses uploads and downloads ({blind})")
        if reason := gpus.missing(self._config.gpus):
            health.missing_gpus = reason
            log(f"never ready: {reason}")
        jvm = Jvm(self._config, self._args.work, self._args.jars)
        reader = threading.Thread(target=self._follow, args=(jvm,), daemon=True)
        reader.start()
        usefulness = self._usefulness(jvm, archives)
        threading.Thread(target=self._watch_usefulness, args=(usefulness,), daemon=True).start()
        try:
            while not self._stops:
                self._watch(jvm, reader)
            deadline = time.monotonic() + self._args.drain_seconds
            if health.models:  # else it has not even opened its ports
                self._drain(jvm, deadline)
            jvm.process.terminate()
            # It waits for what gRPC clients still send and get.
            deadline = max(deadline, time.monotonic() + _STOP)
            while jvm.exit_code() is None and not self._is_over(deadline):
                self._wait(jvm, _DRAIN_POLL)
        finally:
            if self._tracing:
                reader.join(1)
                self._tracing.close()
            code = jvm.kill()
            reader.join(1)
        return code

    def stop(self) -> None:
        """Drain and stop; called again, stop at once."""
        self._stops += 1
        self._wake.put(None)

    def _watch(self, jvm: Jvm, reader: threading.Thread) -> None:
        """Look once whether TorchServe is as it should be."""
        self._wait(jvm, _POLL)
        if (code := jvm.exit_code()) is not None:
            reader.join(1)
            raise Failure(f"TorchServe has ended, exit code {code}:\n{self._log.log_tail()}")
        if not self._health.startup()[0] and (why := self._log.failure()):
            raise BadInput(why)
        try:
            self._look()
        except BadInput as error:
            raise BadInput(f"{error}:\n{self._log.log_tail()}") from None

    def _drain(self, jvm: Jvm, deadline: float) -> None:
        """Return when nothing was in flight for a while, or it is too late to wait."""
        quiet = max(self._args.quiet_seconds, self._config.batch_delay + _LOG_DELAY)
        started = busy_at = time.monotonic()
        self._health.draining, reason = True, ""
        while jvm.exit_code() is None and not self._is_over(deadline):
            self._wait(jvm, _DRAIN_POLL)
            if reason := self._look() or self._work_left(quiet):
                busy_at = time.monotonic()
            elif time.monotonic() > busy_at + quiet:
                return self._output.log(f"drained in {time.monotonic() - started:.1f} s")
        reason = self._health.hung() or reason
        return self._output.log(f"stopping although there are requests in flight: {reason}")

    def _work_left(self, quiet: float) -> str:
        try:
            return self._in_flight.reason(quiet)
        except (Unanswered, Unsupported) as error:
            return str(error)

    def _is_over(self, deadline: float) -> bool:
        # What a hung JVM has will never be answered, and a probe has asked for its restart.
        return self._stops > 1 or time.monotonic() > deadline or bool(self._health.hung())

    def _look(self) -> str:
        """Take TorchServe's pulse; why it does not answer, if it does not."""
        health = self._health
        self._output.read_level()
        try:
            self._torchserve.ping()
            # Which workers belong to which model is all that the log does not tell for sure.
            if not health.models or any(len(m.workers) < m.expected_workers for m in health.models):
                health.models = self._torchserve.describe()
        except Unanswered as error:
            health.unreachable_reason = str(error)
        else:
            health.on_response()
        return health.unreachable_reason

    def _wait(self, jvm: Jvm, seconds: float) -> None:
        """Wait for news from the log or a signal."""
        jvm.reap()
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=seconds)

    def _metrics(self) -> tuple[bool, str]:
        torchserve_metrics, queued = "", {}
        totals = {"pinned_java_libraries": self._java_libraries}
        totals["log_lines_dropped_total"] = self._output.stdout.dropped
        with contextlib.suppress(Unanswered, BadInput):
            if not self._health.unreachable_reason:
                torchserve_metrics, queued = self._torchserve.metrics(), self._queues.by_model()
        with contextlib.suppress(Unsupported):
            totals["requests_in_flight"] = self._in_flight.requests(self._args.quiet_seconds)
        return True, torchserve_metrics + metrics(self._health, queued, totals)

    def _usefulness(self, jvm: Jvm, archives: Sequence[store.Archive]) -> Usefulness:
        samples = {each.name: each.sample for each in archives if each.sample}
        usefulness = Usefulness(
            self._health, self._torchserve, jvm.restart_worker, self._output.log
        )
        usefulness.follow(self._config.models, samples)
        return usefulness

    def _watch_usefulness(self, usefulness: Usefulness) -> None:
        while not self._stops:
            time.sleep(_POLL)
            if self._health.startup()[0]:
                usefulness.look()

    def _follow(self, jvm: Jvm) -> None:
        tracing = self._tracing
        for line in jvm.process.stdout or ():
            event = self._log.read(read(line.rstrip("\n")))
            for each in tracing.read(line, event) if tracing else [event]:
                self._output.put(each)
        for each in tracing.ids.release() if tracing else ():
            self._output.put(each)
