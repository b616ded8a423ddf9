"""The launcher with the real TorchServe behind it, and a small model that a test holds in hand."""

import contextlib
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.core import command
from harness.snapshot import properties
from tests.support.processes import PATIENCE, eventually, free_ports, processes


class Site:
    """A folder with a model store, a configuration, gates and a work folder."""

    def __init__(
        self,
        folder: Path,
        archive: Path,
        *,
        queue: int = 300,
        workers: int = 1,
        batch: int = 4,
        models: tuple[str, ...] = ("gated",),
    ) -> None:
        self.folder, self.gate, self.work = folder, folder / "gate", folder / "work"
        self.store, self.elsewhere = folder / "store", folder / "elsewhere"
        for each in (self.gate, self.store, self.elsewhere):
            each.mkdir(parents=True)
        self.mar = self.store / archive.name
        self.mar.write_bytes(archive.read_bytes())
        self.http, self.grpc, management, metrics, grpc_management, self.port = free_ports(6)
        entry: dict[str, object] = {"defaultVersion": True, "marName": self.mar.name}
        entry |= {"minWorkers": workers, "maxWorkers": workers, "batchSize": batch}
        entry |= {"maxBatchDelay": 20, "responseTimeout": 120}
        snapshot = {"modelCount": len(models), "models": {name: {"1.0": entry} for name in models}}
        self.settings = {
            "inference_address": f"http://127.0.0.1:{self.http}",
            "management_address": f"http://127.0.0.1:{management}",
            "metrics_address": f"http://127.0.0.1:{metrics}",
            "grpc_inference_port": str(self.grpc),
            "grpc_management_port": str(grpc_management),
            "model_store": str(self.store),
            "job_queue_size": str(queue),
            "disable_token_authorization": "true",
            "metrics_mode": "prometheus",
            "disable_system_metrics": "true",
            "number_of_gpu": "0",
            "model_snapshot": json.dumps(snapshot),
        }
        self.files: list[dict[str, object]]
        self.list_archive()

    def list_archive(self, **more: object) -> None:
        """Have the launcher compare the archive with what it is now."""
        self.files = [{**_list_entry(self.mar), **more}]

    def list_another(self, archive: Path) -> None:
        """And one that a test has put beside it."""
        self.files.append(_list_entry(archive))

    def hold(self, what: str) -> None:
        """Close a gate of the model: hold-load, hold-answers or break-load."""
        (self.gate / what).touch()

    def release(self, what: str) -> None:
        (self.gate / what).unlink()

    def processes(self) -> list[psutil.Process]:
        """All that was started here and lives."""
        return processes(self.work)

    def jvm(self) -> psutil.Process:
        return next(p for p in self.processes() if "org.pytorch.serve.ModelServer" in p.cmdline())


def _list_entry(archive: Path) -> dict[str, object]:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    return {"name": archive.name, "sha256": digest, "size": archive.stat().st_size}


class Launcher:
    """A running launcher, and the calls that a test makes to it and to its TorchServe."""

    def __init__(
        self,
        site: Site,
        *options: str,
        cwd: Path | None = None,
        env: dict[str, str],
        stdout: int | None = None,
    ):
        (site.folder / "config.properties").write_text(properties.dump(site.settings))
        (site.folder / "files.json").write_text(json.dumps(site.files))
        package = "launcher" if cwd else "harness.launcher"
        argv = [sys.executable, "-m", package, "--host", "127.0.0.1", "--port", str(site.port)]
        argv += ["--config", str(site.folder / "config.properties"), "--work", str(site.work)]
        argv += ["--files", str(site.folder / "files.json"), "--quiet-seconds", "0.3"]
        argv += ["--termination-log", str(site.folder / "failure.txt"), *options]
        self.site, self.host, self.port = site, "127.0.0.1", site.port
        self.stdout, self.stderr = site.folder / "stdout", site.folder / "stderr"
        places = {
            "GATE": str(site.gate),
            "HOME": str(site.elsewhere),
            "TMPDIR": str(site.elsewhere),
        }
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self.process = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**os.environ, **places, **env},
                stdout=out if stdout is None else stdout,
                stderr=err,
            )

    def records(self) -> list[dict[str, Any]]:
        """What TorchServe and its models have logged so far."""
        return [json.loads(line) for line in self.stdout.read_text().splitlines()]

    def messages(self) -> str:
        """The launcher's own, a line each."""
        lines = self.stderr.read_text().splitlines()
        return "\n".join(json.loads(line)["message"] for line in lines)

    def ask(self, path: str) -> tuple[int, str]:
        """Status and text of one of the launcher's own pages; 0 while nobody listens."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                return response.status, response.read().decode()
            except OSError as error:
                return 0, str(error)

    def states(self) -> dict[str, int]:
        return {path: self.ask(f"/{path}")[0] for path in ("startup", "ready", "live")}

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.stderr.read_text() + self.stdout.read_text()
        return self.ask("/ready")[0] == 200

    def gauge(self, name: str) -> float:
        """A metric's value by its name, whatever its labels."""
        lines = self.ask("/metrics")[1].splitlines()
        return sum(
            float(line.split()[-1]) for line in lines if line.split("{")[0].split()[0] == name
        )

    def predict(
        self, body: bytes = b"ask", model: str = "gated", patience: float = PATIENCE
    ) -> int:
        """The status of a prediction."""
        connection = http.client.HTTPConnection("127.0.0.1", self.site.http, timeout=patience)
        headers = {"Content-Type": "application/octet-stream"}
        with contextlib.closing(connection):
            connection.request("POST", f"/predictions/{model}", body, headers)
            return connection.getresponse().status

    def slowly(self, body: bytes, seconds: float) -> "Future[tuple[int, int]]":
        """Status and length of the answer to a request whose body takes so long to send."""

        def call() -> tuple[int, int]:
            pieces, pause = 20, seconds / 20
            connection = http.client.HTTPConnection("127.0.0.1", self.site.http, timeout=PATIENCE)
            with contextlib.closing(connection):
                connection.putrequest("POST", "/predictions/gated")
                connection.putheader("Content-Type", "application/octet-stream")
                connection.putheader("Content-Length", str(len(body)))
                connection.endheaders()
                for start in range(0, len(body), -(-len(body) // pieces)):
                    connection.send(body[start : start + -(-len(body) // pieces)])
                    time.sleep(pause)
                response = connection.getresponse()
                length = 0
                while piece := response.read(1 << 18):
                    length += len(piece)
                    time.sleep(pause)
                return response.status, length

        pool = ThreadPoolExecutor(1)
        answer = pool.submit(call)
        pool.shutdown(wait=False)
        return answer

    def predict_together(self, count: int) -> "list[Future[int]]":
        """``count`` predictions at once."""
        pool = ThreadPoolExecutor(count)
        answers = [pool.submit(self.predict) for _ in range(count)]
        pool.shutdown(wait=False)
        return answers

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def failure(self) -> str:
        """What it says when it has ended by itself, on stderr and in the termination log."""
        self.process.wait(PATIENCE)
        text = (self.site.folder / "failure.txt").read_text()
        assert text.strip() in self.messages()
        return text


def pack(name: str, handler: str, folder: Path, *options: str) -> None:
    """An archive of a handler in this folder, packed by TorchServe's own tool."""
    packer = Path(sys.executable).with_name("torch-model-archiver")
    argv: list[str | Path] = [packer, "--model-name", name, "--version", "1.0"]
    argv += ["--handler", Path(__file__).with_name(handler), "--export-path", folder, *options]
    command.run(argv, timeout=60)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the model that a test holds in hand."""
    folder = tmp_path_factory.mktemp("archive")
    pack("gated", "gated_handler.py", folder)
    return folder / "gated.mar"


def _is_gone(site: Site) -> bool:
    return not site.processes()


Start = Callable[..., Launcher]


@contextlib.contextmanager
def starting() -> Iterator[Start]:
    """Starts launchers, and ends what a failed test left."""
    started: list[Launcher] = []

    def start(
        site: Site,
        *options: str,
        cwd: Path | None = None,
        stdout: int | None = None,
        **env: str,
    ) -> Launcher:
        started.append(Launcher(site, *options, cwd=cwd, env=env, stdout=stdout))
        return started[-1]

    try:
        yield start
    finally:
        for launcher in started:
            if launcher.process.poll() is None:
                launcher.end(signal.SIGKILL)
            eventually(partial(_is_gone, launcher.site))


@pytest.fixture
def start() -> Iterator[Start]:
    with starting() as start:
        yield start


@pytest.fixture
def site(tmp_path: Path, archive: Path) -> Site:
    return Site(tmp_path, archive)
