"""The life of one TorchServe: verify, start, watch, drain, stop."""

import argparse
import contextlib
import queue
import signal
import sys
import threading
import time

from . import BadInput, Failure, config, endpoints, libraries, store
from .health import Health, metrics
from .jvm import Jvm
from .torchserve import TorchServe, Unanswered
from .worker_log import WorkerLog

_POLL = 1.0  # seconds between two looks while nothing changes
_DRAIN_POLL = 0.25  # seconds between two looks while draining
_LOG_DELAY = 0.5  # seconds, beside a batch's own delay, until the log says that a worker has it
_STOP = 10.0  # seconds for a drained JVM to stop; it takes less than one


class Supervisor:
    """Runs TorchServe until it ends or is told to stop."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # put is safe in a handler
        self._stops = 0
        self._health = Health(args.hung_seconds)
        self._log = WorkerLog(lambda: self._wake.put(None))
        self._config = config.read(args.config)
        self._torchserve = TorchServe(self._config, timeout=args.hung_seconds / 5)

    def run(self) -> int:
        """Return TorchServe's exit code after a stop that was asked for.

        Raises:
            Failure: TorchServe could not be started, or has ended by itself.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        say(libraries.summary(self._args.jars))
        health = self._health
        probes = {"/startup": health.startup, "/ready": health.ready, "/live": health.live}
        endpoints.serve(self._args.host, self._args.port, {**probes, "/metrics": self._metrics})
        say(f"verified {store.verify(self._config.model_store, self._args.files)} model archives")
        jvm = Jvm(self._config, self._args.work, self._args.jars)
        reader = threading.Thread(target=self._follow, args=(jvm,), daemon=True)
        reader.start()
        try:
            while not self._stops:
                self._watch(jvm, reader)
            if health.models:  # else it has not even opened its ports
                self._drain(jvm)
            jvm.process.terminate()
            deadline = time.monotonic() + _STOP
            while jvm.exit_code() is None and not self._late(deadline):
                self._wait(jvm, _DRAIN_POLL)
        finally:
            code = jvm.kill()
        reader.join(1)
        return code

    def stop(self) -> None:
        """Drain and stop; called again, stop at once."""
        self._stops += 1
        self._wake.put(None)

    def _watch(self, jvm: Jvm, reader: threading.Thread) -> None:
        """Look once whether TorchServe is as it should be."""
        changed = self._wait(jvm, _POLL)
        if (code := jvm.exit_code()) is not None:
            reader.join(1)
            raise Failure(f"TorchServe has ended, exit code {code}:\n{self._log.last_words()}")
        if not self._health.startup()[0] and (why := self._log.failure()):
            raise BadInput(why)
        try:
            self._look(describe=changed or not self._health.complete())
        except BadInput as error:
            raise BadInput(f"{error}:\n{self._log.last_words()}") from None

    def _drain(self, jvm: Jvm) -> None:
        """Return when nothing was queued or in work for a while, or it is too late to wait."""
        quiet = max(self._args.quiet_seconds, self._config.batch_delay + _LOG_DELAY)
        started = busy_at = time.monotonic()
        self._health.draining, batches = True, self._log.batches()
        while jvm.exit_code() is None and not self._late(started + self._args.drain_seconds):
            self._wait(jvm, _DRAIN_POLL)
            self._look(describe=True)
            queued = self._health.silence or any(model.queued for model in self._health.models)
            if queued or self._log.busy() or self._log.batches() != batches:
                busy_at, batches = time.monotonic(), self._log.batches()
            elif time.monotonic() > busy_at + quiet:
                return say(f"drained in {time.monotonic() - started:.1f} s")
        return say("stopping although there are requests in work")

    def _late(self, deadline: float) -> bool:
        return self._stops > 1 or time.monotonic() > deadline

    def _look(self, *, describe: bool) -> None:
        try:
            if not describe:
                self._torchserve.ping()
            models = self._torchserve.describe() if describe else self._health.models
        except Unanswered as error:
            self._health.silence = str(error)
        else:
            self._health.heard(models)

    def _wait(self, jvm: Jvm, seconds: float) -> bool:
        """Wait for news from the log or a signal; False if there was none."""
        jvm.reap()
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=seconds)
            return True
        return False

    def _metrics(self) -> tuple[bool, str]:
        theirs, models = "", self._health.models
        with contextlib.suppress(Unanswered, BadInput):
            if not self._health.silence:
                theirs, models = self._torchserve.metrics(), self._torchserve.describe()
        pinned = f"launcher_pinned_java_libraries {libraries.count(self._args.jars)}\n"
        return True, theirs + metrics(self._health, self._log, models) + pinned

    def _follow(self, jvm: Jvm) -> None:
        for line in jvm.process.stdout or ():
            if self._log.read(line.rstrip("\n")):
                with contextlib.suppress(OSError):  # nobody reads it: no reason to stop
                    sys.stdout.write(line)
                    sys.stdout.flush()


def say(text: str) -> None:
    """One line on stderr, beside TorchServe's log on stdout."""
    sys.stderr.write(f"launcher: {text}\n")
