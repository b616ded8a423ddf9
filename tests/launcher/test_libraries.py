"""Newer Java libraries in place of TorchServe's: the JVM is asked where each class comes from."""

import json
import re
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from harness.launcher import libraries
from tests.launcher.conftest import Site, Start, pack, starting
from tests.support.processes import eventually

pytestmark = pytest.mark.torchserve
newer = pytest.mark.skipif(
    not libraries.count(libraries.FOLDER), reason="no newer Java libraries here; run `make jars`"
)
INFERENCE = "/org.pytorch.serve.grpc.inference.InferenceAPIsService"
MANAGEMENT = "/org.pytorch.serve.grpc.management.ManagementAPIsService"
_LOADED = re.compile(r"\[class,load *\] (\S+) source: \S*?([^/]+\.jar)$", re.MULTILINE)


def field(number: int, value: bytes) -> bytes:
    """A field of a protobuf message: its number, its length, its bytes."""
    return bytes([number << 3 | 2, len(value)]) + value


def request(model: bytes) -> bytes:
    return field(1, model) + field(3, field(1, b"data") + field(2, b"ask"))


def add_streaming_model(site: Site) -> None:
    """Beside the first model's .mar, one in the other kind of archive that TorchServe unpacks."""
    pack("streaming", "streaming_handler.py", site.store, "--archive-format", "tgz")
    site.list_another(site.store / "streaming.tar.gz")
    snapshot = json.loads(site.settings["model_snapshot"])
    entry = {**snapshot["models"]["gated"]["1.0"], "marName": "streaming.tar.gz", "batchSize": 1}
    snapshot["models"]["streaming"] = {"1.0": entry}
    site.settings["model_snapshot"] = json.dumps({**snapshot, "modelCount": 2})


def prediction(inference: str, model: str) -> urllib.request.Request:
    headers = {"Content-Type": "application/octet-stream"}
    return urllib.request.Request(f"{inference}/predictions/{model}", b"ask", headers)


def use(site: Site) -> None:
    """Everything that clients do: both protocols, a stream, management, metrics, an error."""
    inference, management, metrics = (
        site.settings[f"{name}_address"] for name in ("inference", "management", "metrics")
    )
    for url in (f"{inference}/ping", f"{management}/models/gated", f"{metrics}/metrics"):
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert answer.read()
    with urllib.request.urlopen(prediction(inference, "gated"), timeout=60) as answer:
        assert json.load(answer) == {"ok": True}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(prediction(inference, "unknown"), timeout=60)
    with grpc.insecure_channel(f"127.0.0.1:{site.grpc}") as channel:
        unary = channel.unary_unary(f"{INFERENCE}/Predictions")
        assert b'"ok": true' in unary(request(b"gated"), timeout=60)
        with pytest.raises(grpc.RpcError, match="Model not found: unknown"):
            unary(request(b"unknown"), timeout=60)
        stream = channel.unary_stream(f"{INFERENCE}/StreamPredictions")
        parts = list(stream(request(b"streaming"), timeout=60))
        assert [part[2:] for part in parts] == [b"first ", b"last"]
    with grpc.insecure_channel(f"127.0.0.1:{site.settings['grpc_management_port']}") as channel:
        describe = channel.unary_unary(f"{MANAGEMENT}/DescribeModel")
        assert b"gated" in describe(field(1, b"gated"), timeout=60)


@dataclass(frozen=True)
class Run:
    """What a launcher said, and each class that its JVM loaded from a JAR, with the JAR's name."""

    stdout: str
    messages: str
    classes: list[tuple[str, str]]


@pytest.fixture(scope="module")
def run(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One that was used for everything."""
    site = Site(tmp_path_factory.mktemp("libraries"), archive)
    add_streaming_model(site)
    log = site.folder / "classes.log"
    # The asynchronous logger takes the disruptor.
    selector = "org.apache.logging.log4j.core.async.AsyncLoggerContextSelector"
    options = f"-Xlog:class+load:file={log} -Dlog4j2.contextSelector={selector}"
    with starting() as start:
        launcher = start(site, JAVA_TOOL_OPTIONS=options)
        eventually(launcher.is_ready)
        use(site)
        assert launcher.end() == 143
    classes = _LOADED.findall(log.read_text())
    return Run(launcher.stdout.read_text(), launcher.messages(), classes)


@newer
def test_the_jvm_loads_nothing_but_torchserve_itself_from_torchserves_jar(run: Run) -> None:
    old = {name for name, jar in run.classes if jar == "model-server.jar"}
    assert {name for name in old if not name.startswith("org.pytorch.serve.")} == set()
    assert len(old) > 100
    new = {jar for _, jar in run.classes if jar != "model-server.jar"}
    assert new <= {file.name for file in libraries.FOLDER.glob("*.jar")}


@newer
@pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's")
def test_the_native_transports_load(run: Run) -> None:
    names = {name for name, _ in run.classes}
    channel = "io.netty.channel.epoll.EpollServerSocketChannel"
    assert {channel, f"io.grpc.netty.shaded.{channel}"} <= names


@newer
def test_the_asynchronous_logger_finds_its_disruptor(run: Run) -> None:
    jar = dict(run.classes).get("com.lmax.disruptor.RingBuffer", "")
    assert jar.startswith("disruptor-")


@newer
def test_the_log_has_no_line_of_a_librarys_own(run: Run) -> None:
    assert "StatusLogger" not in run.stdout  # log4j's, about log4j2.xml
    assert "SLF4J" not in run.stdout
    assert "GeneratedMessage" not in run.stdout  # protobuf's, about TorchServe's classes


@newer
def test_the_launchers_first_line_says_what_runs(run: Run) -> None:
    number = libraries.count(libraries.FOLDER)
    assert run.messages.startswith(f"{number} Java libraries of {libraries.FOLDER} run ")


def test_without_them_it_serves_with_torchserves_own_and_says_so(site: Site, start: Start) -> None:
    launcher = start(site, "--jars", str(site.folder / "none"))
    eventually(launcher.is_ready)
    assert launcher.predict() == 200
    (site.folder / "none").mkdir()
    (site.folder / "none" / "later.jar").touch()  # the JVM runs with what was there at its start
    assert launcher.gauge("launcher_pinned_java_libraries") == 0
    output = launcher.messages()
    assert output.startswith("TorchServe runs the Java libraries in its own JAR, ")
    assert launcher.end() == 143
