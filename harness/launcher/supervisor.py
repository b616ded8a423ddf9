"""The life of one TorchServe: verify, start, watch, drain, stop."""

import contextlib
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from . import config, endpoints, gauges, store
from .failure import BadInput, Failure
from .health import Health, Phase
from .jvm import Jvm
from .torchserve import TorchServe, Unanswered
from .worker_log import WorkerLog

_POLL = 1.0  # seconds between two looks while nothing changes
_DRAIN_POLL = 0.25  # seconds between two looks while draining
_LOG_DELAY = 0.5  # seconds beside a batch's own delay until the log says that a worker has it
_STOP = 20.0  # seconds for a drained JVM to stop: it closes its event loops in a few


@dataclass(frozen=True)
class Options:
    """The command line: paths, the launcher's address, and times in seconds.

    ``drain_seconds`` bounds the wait for what is in flight or queued; ``quiet_seconds`` is how
    long nothing may be before it counts as drained: in a cluster, longer than it takes until
    no proxy sends requests here any more.
    """

    config: Path
    files: Path
    work: Path
    host: str
    port: int
    drain_seconds: float
    quiet_seconds: float
    hung_seconds: float


class Supervisor:
    """Runs TorchServe until it ends or is told to stop."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # its put is safe in a handler
        self._stops = 0
        self._health = Health(options.hung_seconds)
        self._log = WorkerLog(lambda: self._wake.put(None))
        self._torchserve: TorchServe | None = None

    def run(self) -> int:
        """Return TorchServe's exit code after a stop that was asked for.

        Raises:
            Failure: TorchServe could not be started, or has ended by itself.
        """
        _on_signal(_leave)
        options, health = self._options, self._health
        probes = {"/startup": health.startup, "/ready": health.ready, "/live": health.live}
        with endpoints.serving(options.host, options.port, probes, self._metrics):
            settings = config.read(options.config)
            files = store.read_list(options.files)
            store.verify(settings.model_store, files)
            say(f"verified {len(files)} model archives in {settings.model_store}")
            _on_signal(lambda *_: self.stop())
            return self._supervise(settings)

    def stop(self) -> None:
        """Drain and stop; called again, stop at once."""
        self._stops += 1
        self._wake.put(None)

    def _supervise(self, settings: config.Config) -> int:
        options = self._options
        self._torchserve = TorchServe(settings, timeout=options.hung_seconds / 5)
        jvm = Jvm(settings, options.work)
        reader = threading.Thread(target=self._follow, args=(jvm,), daemon=True)
        reader.start()
        try:
            self._health.phase = Phase.LOADING
            self._watch(jvm)
            self._health.phase = Phase.DRAINING
            delay = max((model.batch_delay_ms for model in settings.models), default=0)
            self._drain(jvm, quiet=max(options.quiet_seconds, delay / 1000 + _LOG_DELAY))
            jvm.terminate(_STOP, hurry=lambda: self._stops > 1)
        finally:
            code = jvm.kill()
            reader.join(1)
        return code

    def _watch(self, jvm: Jvm) -> None:
        """Look after TorchServe until a stop is asked for."""
        while not self._stops:
            changed = self._wait(_POLL)
            jvm.reap()
            if (code := jvm.exit_code()) is not None:
                raise Failure(f"TorchServe has ended by itself, exit code {code}\n{self._tail()}")
            if self._health.phase is Phase.LOADING and (why := self._log.failure()):
                raise BadInput(why)
            try:
                self._look(describe=changed or not self._health.complete)
            except BadInput as error:
                raise BadInput(f"{error}\n{self._tail()}") from None

    def _drain(self, jvm: Jvm, quiet: float) -> None:
        """Return when nothing was queued or in work for ``quiet`` seconds."""
        started = quiet_since = time.monotonic()
        batches = self._log.batches
        while jvm.exit_code() is None and self._stops < 2:
            now = time.monotonic()
            if now - quiet_since > quiet:
                return say(f"drained in {now - started:.1f} s")
            if now - started > self._options.drain_seconds:
                return say(f"still in work after {now - started:.0f} s, stopping all the same")
            self._wait(_DRAIN_POLL)
            jvm.reap()
            self._look(describe=True)
            queued = sum(model.queued for model in self._health.models)
            if queued or self._log.busy or self._log.batches != batches:
                quiet_since, batches = time.monotonic(), self._log.batches
        return None

    def _look(self, *, describe: bool) -> None:
        assert self._torchserve  # noqa: S101 - made before the JVM is
        try:
            if describe:
                self._health.heard(self._torchserve.describe())
            else:
                self._torchserve.ping()
                self._health.heard()
        except Unanswered as error:
            self._health.unheard(str(error))

    def _wait(self, seconds: float) -> bool:
        """Wait for news from the log or a signal; False if there was none."""
        try:
            self._wake.get(timeout=seconds)
            while not self._wake.empty():
                self._wake.get()
        except queue.Empty:
            return False
        return True

    def _metrics(self) -> str:
        models, theirs = self._health.models, ""
        if self._torchserve and self._health.answering:
            with contextlib.suppress(Unanswered, BadInput):
                theirs = self._torchserve.metrics()
                models = self._torchserve.describe()
        return theirs + gauges.text(self._health, self._log, models)

    def _follow(self, jvm: Jvm) -> None:
        for line in jvm.output:
            if self._log.read(line.rstrip("\n")):
                # Nobody may be there to read it; the JVM must not stop for that.
                with contextlib.suppress(OSError):
                    sys.stdout.write(line)
                    sys.stdout.flush()

    def _tail(self) -> str:
        return "\n".join(self._log.tail)


def say(text: str) -> None:
    """One line on stderr, beside TorchServe's log on stdout."""
    sys.stderr.write(f"launcher: {text}\n")
    sys.stderr.flush()


def _on_signal(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> None:
    """Before there is a JVM, nothing has to be drained."""
    raise SystemExit(128 + number)
