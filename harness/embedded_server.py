"""The real TorchServe on this machine, behind the same launcher as in the container.

    with embedded_server.running(repository.find(), env="local") as served:
        requests.post(f"{served.inference_url}/predictions/squeezenet1_1", data=photograph)

What it is started with, what it writes and its logs lie under ``build/serve/<env>``, for a group
other than the first ``build/serve/<env>-<group>``.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import psutil

from harness import image_sets, set_environment
from harness.core import command, console, files
from harness.core.errors import HarnessError, InputError
from harness.core.repository import FIRST_GROUP, Repository
from harness.jars import JarsError, fetch, lock
from harness.launcher import libraries
from harness.launcher.jvm import LONGEST_WORK
from harness.snapshot import config, preflight

_LOOPBACK = "127.0.0.1"
_POLL = 0.2  # seconds between two questions whether it is ready
_DRAIN = 60.0  # seconds for what is in flight when it is stopped
_STOP = 30.0  # seconds after that for the launcher to end
CONFIG, FILES, METRICS = "config.properties", "model-files.json", "metrics.yaml"
"""In the server's folder: what TorchServe and the launcher are started with."""

_FAILURE = "failure.txt"
# As Netty, gRPC and the launcher say it.
_TAKEN = re.compile(r"(?:Failed to bind to address|cannot listen on)\S* \S*:(\d+)")
_PORTS = {
    "inference": 8080,
    "management": 8081,
    "metrics": 8082,
    "gRPC inference": 7070,
    "gRPC management": 7071,
    "launcher": 8090,
}


@dataclass(frozen=True, slots=True)
class Server:
    """A TorchServe that is ready: every worker of every model has loaded.

    Attributes:
        inference_url: base of ``/predictions/<model>``, without a trailing slash.
        grpc_address: ``host:port`` of the inference service.
        launcher_url: base of ``/startup``, ``/ready``, ``/live`` and ``/metrics``.
        pid: the launcher's process.
        group: the serving group whose settings it has.
        models: the names of what it serves.
        python: the interpreter of its workers: of the environment of the group's image set.
        folder: where its configuration, torchserve.log and launcher.log lie.
    """

    inference_url: str
    grpc_address: str
    launcher_url: str
    pid: int
    group: str
    models: tuple[str, ...]
    python: Path
    folder: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    def wait(self) -> None:
        """Return never: the server runs until the ``running`` block is left.

        Raises:
            HarnessError: it ended by itself.
        """
        self.process.wait()
        raise _exit_error(self.process, self.folder)


@contextlib.contextmanager
def running(
    repository: Repository,
    env: str = "local",
    jars: Path = libraries.FOLDER,
    group: str | None = None,
) -> Iterator[Server]:
    """Serve what ``harness models build`` built, with the settings of a group, for a while.

    A port of the container that is taken here is replaced by a free one, with a notice.

    Args:
        repository: whose models and settings.
        env: the environment.
        jars: the Java libraries that run before TorchServe's; by default the Python environment's,
            with a notice where they are not those of jars.lock.
        group: a group of the environment; by default the only one, or ``torchserve``. What the
            others serve is left out, with a notice.

    Raises:
        InputError: a model cannot be loaded; the text has the worker's own traceback.
        HarnessError: the server could not be started.
    """
    group = repository.group_name(env, group)
    _note_other_groups(repository, env, group)
    with _servers(repository, env, [group], jars) as [server]:
        yield server


@contextlib.contextmanager
def running_groups(
    repository: Repository, env: str = "local", group: str | None = None
) -> Iterator[list[Server]]:
    """Serve every group of an environment, each by a TorchServe of its own; as ``running``.

    Args:
        repository: whose models and settings.
        env: the environment.
        group: the only group to serve.

    Yields:
        The servers, first the one that answers what no group claims.
    """
    if group:
        with running(repository, env, group=group) as server:
            yield [server]
        return
    names = sorted(repository.groups(env), key=lambda name: name != FIRST_GROUP)
    with _servers(repository, env, names, libraries.FOLDER) as servers:
        yield servers


@contextlib.contextmanager
def _servers(
    repository: Repository, env: str, groups: Sequence[str], jars: Path
) -> Iterator[list[Server]]:
    """Start all of them before the first is waited for."""
    with contextlib.ExitStack() as stack:
        folders = [_folder(repository, env, group) for group in groups]
        for folder in folders:
            stack.enter_context(_exclusive(folder))
        ports = _free_ports(len(groups))
        pythons = [
            set_environment.python(repository, image_sets.of_group(repository, env, group))
            for group in groups
        ]
        models = [
            _prepare(repository, env, *each)
            for each in zip(groups, folders, ports, pythons, strict=True)
        ]
        if jars == libraries.FOLDER:
            _note_missing_libraries(repository)
        servers = []
        for group, folder, of, python, served in zip(
            groups, folders, ports, pythons, models, strict=True
        ):
            process = stack.enter_context(_launcher(folder, of["launcher"], jars, python))
            servers.append(
                Server(
                    inference_url=f"http://{_LOOPBACK}:{of['inference']}",
                    grpc_address=f"{_LOOPBACK}:{of['gRPC inference']}",
                    launcher_url=f"http://{_LOOPBACK}:{of['launcher']}",
                    pid=process.pid,
                    group=group,
                    models=served,
                    python=python,
                    folder=folder,
                    process=process,
                )
            )
        for server in servers:
            name = f" of group {server.group}" if len(servers) > 1 else ""
            with console.step(f"start TorchServe{name}") as update:
                _wait_until_started(server, update)
        yield servers


def _folder(repository: Repository, env: str, group: str) -> Path:
    return repository.build / "serve" / (env if group == FIRST_GROUP else f"{env}-{group}")


def _note_other_groups(repository: Repository, env: str, group: str) -> None:
    others = [each for each in repository.groups(env) if each != group]
    if others:
        console.note(f"serves group {group} of {env}, without the models of {', '.join(others)}")


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock of an environment; it goes with the process, so that it is never stale."""
    files.write(folder / "lock", "")
    with (folder / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "stop it first (Ctrl-C there), or serve from another clone"
            raise HarnessError("is being served already", at=folder, hint=hint) from None
        yield


def _free_ports(servers: int) -> list[dict[str, int]]:
    """The container's ports for the first server, or a free one for each that is taken here.

    Every other server gets free ones.
    """
    ports: list[dict[str, int]] = []
    with contextlib.ExitStack() as sockets:  # all at once, so that no two are the same
        for number in range(servers):
            ports.append({})
            for name, preferred in _PORTS.items():
                listener = sockets.enter_context(socket.socket())
                # A port that was just left, by a connection that has ended, can be listened on.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    listener.bind((_LOOPBACK, preferred if number == 0 else 0))
                except OSError:
                    listener.bind((_LOOPBACK, 0))
                    port = listener.getsockname()[1]
                    console.note(f"port {preferred} is taken: {name} is on {port}")
                ports[-1][name] = listener.getsockname()[1]
    return ports


def _prepare(
    repository: Repository,
    env: str,
    group: str,
    folder: Path,
    ports: Mapping[str, int],
    python: Path,
) -> tuple[str, ...]:
    """Write what the launcher is started with, check it, and return the models' names."""
    built = repository.built_models / "lock.yaml"
    if not built.is_file():
        raise HarnessError("no models are built", at=built, hint="run `harness models build`")
    snapshot = config.load(repository, env, built, group)
    gpus = _gpus()
    changes = {
        "inference_address": f"http://{_LOOPBACK}:{ports['inference']}",
        "management_address": f"http://{_LOOPBACK}:{ports['management']}",
        "metrics_address": f"http://{_LOOPBACK}:{ports['metrics']}",
        "grpc_inference_address": _LOOPBACK,
        "grpc_inference_port": str(ports["gRPC inference"]),
        "grpc_management_port": str(ports["gRPC management"]),
        "model_store": str(repository.built_models / "model-store"),
        "python": str(python),
        "number_of_gpu": str(gpus),
    }
    if snapshot.metrics:
        files.write(folder / METRICS, snapshot.metrics)
        changes["metrics_config"] = str(folder / METRICS)
    model_files = [file.entry() for file in snapshot.model_files]
    files.write(folder / CONFIG, config.derive(snapshot.config_properties(), changes))
    files.write(folder / FILES, json.dumps(model_files, indent=2) + "\n")
    preflight.check(folder / CONFIG, files=snapshot.model_files, gpus=gpus)
    return tuple(snapshot.models.models)


def _note_missing_libraries(repository: Repository) -> None:
    """Say so where the launcher will not run the Java libraries that the image runs."""
    try:
        pinned = lock.read(repository.jars_lock)
    except JarsError as error:
        raise InputError(str(error)) from error
    if not libraries.count(libraries.FOLDER):
        console.note(libraries.summary(libraries.FOLDER, 0))
    elif not fetch.holds(libraries.FOLDER, pinned):
        hint = "`make jars` fetches those"
        console.note(f"the Java libraries are not the ones in {repository.jars_lock}: {hint}")


def _gpus() -> int:
    if not shutil.which("nvidia-smi"):
        return 0
    listed = command.run(["nvidia-smi", "-L"], timeout=30, accept=range(256)).stdout
    return sum(line.startswith("GPU ") for line in listed.splitlines())


@contextlib.contextmanager
def _launcher(
    folder: Path, port: int, jars: Path, python: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The launcher in the environment of the group's image set: TorchServe's files are there."""
    (folder / _FAILURE).unlink(missing_ok=True)
    argv: list[object] = [*set_environment.words(python, "harness.launcher"), "--until-eof"]
    argv += ["--config", folder / CONFIG, "--files", folder / FILES]
    argv += ["--host", _LOOPBACK, "--port", port, "--termination-log", folder / _FAILURE]
    argv += ["--drain-seconds", _DRAIN, "--quiet-seconds", 0.5, "--jars", jars]
    with (
        _work(folder) as work,
        (folder / "torchserve.log").open("wb") as stdout,
        (folder / "launcher.log").open("wb") as stderr,
        # A group of its own: Ctrl-C in the terminal asks us, and we ask it. If we are killed,
        # its standard input ends, and it stops by itself.
        subprocess.Popen(
            [str(word) for word in (*argv, "--work", work)],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            process_group=0,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_DRAIN + _STOP)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                process.terminate()  # the second time: at once


@contextlib.contextmanager
def _work(folder: Path) -> Iterator[Path]:
    """The launcher's work folder: below ours, or where that is too deep for sockets a short one."""
    if len(os.fsencode(folder / "work")) <= LONGEST_WORK:
        yield folder / "work"
        return
    with tempfile.TemporaryDirectory(prefix="torchserve-") as short:
        console.note(f"the path of this clone is long: TorchServe works in {short}")
        yield Path(short)


def _wait_until_started(server: Server, update: console.Update) -> None:
    """The launcher itself ends a start that cannot succeed; a slow one may take its time."""
    while server.process.poll() is None:
        started, reason = probe(f"{server.launcher_url}/startup")
        if started:
            return
        update(reason)
        time.sleep(_POLL)
    raise _exit_error(server.process, server.folder)


def probe(url: str) -> tuple[bool, str]:
    """Whether one of the launcher's endpoints says that all is good, and the reason that it gives.

    While it starts or ends, in the middle of an answer too, nothing is good.
    """
    try:
        try:
            response = urllib.request.urlopen(url, timeout=5)  # noqa: S310 - http on loopback
        except urllib.error.HTTPError as error:
            response = error
        with response:
            answer = json.load(response)
    except (OSError, HTTPException, ValueError):
        return False, "the launcher does not answer"
    return answer["ok"], answer["reason"]


def _exit_error(process: subprocess.Popen[bytes], folder: Path) -> HarnessError:
    """Why the launcher has ended by itself; it leaves that in a file, as in a pod."""
    failure = folder / _FAILURE
    log = folder / "launcher.log"
    text = (failure if failure.is_file() else log).read_text(errors="replace").strip()
    if bound := _TAKEN.search(text):
        return HarnessError(
            f"port {bound[1]} was taken while TorchServe started, by {_listener_on(int(bound[1]))}",
            hint="run it again: it takes a free one where that is taken already",
        )
    kind = InputError if process.returncode == InputError.exit_code else HarnessError
    hint = f"the whole log is in {folder / 'torchserve.log'}"
    return kind(text or f"the launcher has ended, exit code {process.returncode}", hint=hint)


def _listener_on(port: int) -> str:
    """Who listens on a port of this machine, as far as the kernel tells."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and getattr(connection.laddr, "port", 0) == port:
            with contextlib.suppress(psutil.Error):
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "a process that has ended, or that is not this user's"
