"""The life of one TorchServe: verify, start, watch, drain, stop."""

import argparse
import contextlib
import queue
import signal
import sys
import threading
import time

from . import BadInput, Failure, config, endpoints, store
from .endpoints import Page
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
        self._torchserve: TorchServe | None = None

    def run(self) -> int:
        """Return TorchServe's exit code after a stop that was asked for.

        Raises:
            Failure: TorchServe could not be started, or has ended by itself.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        args, health = self._args, self._health
        pages: dict[str, Page] = {"/startup": health.startup, "/ready": health.ready}
        pages |= {"/live": health.live, "/metrics": self._metrics}
        with endpoints.serving(args.host, args.port, pages):
            settings = config.read(args.config)
            count = store.verify(settings.model_store, args.files)
            say(f"verified {count} model archives in {settings.model_store}")
            self._torchserve = TorchServe(settings, timeout=args.hung_seconds / 5)
            jvm = Jvm(settings, args.work)
            try:
                threading.Thread(target=self._follow, args=(jvm,), daemon=True).start()
                self._watch(jvm)
                if health.models:  # else it has not even opened its ports
                    quiet = max(args.quiet_seconds, settings.batch_delay + _LOG_DELAY)
                    self._drain(jvm, quiet)
                jvm.process.terminate()
                deadline = time.monotonic() + _STOP
                while jvm.exit_code() is None and not self._out_of_time(deadline):
                    self._wait(_DRAIN_POLL)
            finally:
                code = jvm.kill()
            return code

    def stop(self) -> None:
        """Drain and stop; called again, stop at once."""
        self._stops += 1
        self._wake.put(None)

    def _watch(self, jvm: Jvm) -> None:
        """Look after TorchServe until a stop is asked for."""
        while not self._stops:
            changed = self._wait(_POLL)
            jvm.reap()
            if (code := jvm.exit_code()) is not None:
                said = self._log.last_words()
                raise Failure(f"TorchServe has ended by itself, exit code {code}:\n{said}")
            if not self._health.startup()[0] and (why := self._log.failure()):
                raise BadInput(why)
            try:
                self._look(describe=changed or not self._health.complete())
            except BadInput as error:
                raise BadInput(f"{error}:\n{self._log.last_words()}") from None

    def _drain(self, jvm: Jvm, quiet: float) -> None:
        """Return when nothing was queued or in work for ``quiet`` seconds."""
        self._health.draining = True
        started = busy_at = time.monotonic()
        batches = self._log.batches
        while jvm.exit_code() is None and time.monotonic() < busy_at + quiet:
            if self._out_of_time(started + self._args.drain_seconds):
                return say("stopping although there are requests in work")
            self._wait(_DRAIN_POLL)
            jvm.reap()
            queued = not self._look(describe=True) or any(m.queued for m in self._health.models)
            if queued or self._log.busy() or self._log.batches != batches:
                busy_at, batches = time.monotonic(), self._log.batches
        return say(f"drained in {time.monotonic() - started:.1f} s")

    def _out_of_time(self, deadline: float) -> bool:
        return self._stops > 1 or time.monotonic() > deadline

    def _look(self, *, describe: bool) -> bool:
        assert self._torchserve  # noqa: S101 - there since the JVM is
        try:
            if not describe:
                self._torchserve.ping()
            models = self._torchserve.describe() if describe else self._health.models
        except Unanswered as error:
            self._health.unheard(str(error))
            return False
        self._health.heard(models)
        return True

    def _wait(self, seconds: float) -> bool:
        """Wait for news from the log or a signal; False if there was none."""
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=seconds)
            while not self._wake.empty():
                self._wake.get()
            return True
        return False

    def _metrics(self) -> str:
        models, theirs = self._health.models, ""
        if self._torchserve and self._health.answering:
            with contextlib.suppress(Unanswered, BadInput):
                theirs, models = self._torchserve.metrics(), self._torchserve.describe()
        ours = "".join(f"{line}\n" for line in metrics(self._health, self._log, models))
        return theirs + ours

    def _follow(self, jvm: Jvm) -> None:
        for line in jvm.process.stdout or ():
            if self._log.read(line.rstrip("\n")):
                with contextlib.suppress(
                    OSError
                ):  # nobody reads it; the JVM must not stop for that
                    sys.stdout.write(line)
                    sys.stdout.flush()


def say(text: str) -> None:
    """One line on stderr, beside TorchServe's log on stdout."""
    sys.stderr.write(f"launcher: {text}\n")
    sys.stderr.flush()
