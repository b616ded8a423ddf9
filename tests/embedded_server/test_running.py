"""The embedded server: it is there for a block, or says in words why not."""

import contextlib
import json
import os
import re
import shutil
import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from harness import embedded_server
from harness.cli.loadtest import embedded_target
from harness.core.errors import HarnessError, InputError
from harness.core.repository import Repository
from harness.launcher import libraries
from harness.snapshot import config, properties
from tests.support.processes import processes


def work(checkout: Repository) -> Path:
    return checkout.build / "serve" / "local" / "work"


def ask(url: str, body: bytes | None = None) -> object:
    headers = {"Content-Type": "application/octet-stream"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as reply:
        return json.load(reply)


@pytest.mark.torchserve
def test_it_serves_on_free_ports_while_the_block_runs(
    tiny: Repository, capfd: pytest.CaptureFixture[str]
) -> None:
    with contextlib.ExitStack() as taken:
        with contextlib.suppress(OSError):  # taken by somebody else: as good
            taken.enter_context(socket.create_server(("127.0.0.1", 8080)))
        with embedded_server.running(tiny) as served:
            assert ask(f"{served.inference_url}/predictions/gated", b"ask") == {"ok": True}
            assert ask(f"{served.launcher_url}/ready") == {
                "ok": True,
                "reason": "gated 1.0: 1 of 1 workers ready",
            }
            host, _, port = served.grpc_address.partition(":")
            socket.create_connection((host, int(port))).close()
            assert served.models == ("gated",)
            with pytest.raises(HarnessError, match="is being served already"):
                embedded_server.running(tiny).__enter__()
            assert "port 8080 is taken: inference is on" in capfd.readouterr().err
    assert served.process.returncode == 143
    assert not processes(work(tiny))


@pytest.mark.torchserve
def test_a_model_that_cannot_load_is_the_models_fault(tiny: Repository) -> None:
    (tiny.root / "gate" / "break-load").touch()
    with pytest.raises(InputError) as caught, embedded_server.running(tiny):
        pass
    assert '  File "gated_handler.py", line ' in caught.value.message
    headline = caught.value.message.splitlines()[0]
    assert headline.endswith("ValueError: the weights have the wrong shape")
    assert "torchserve.log" in caught.value.hint
    assert not processes(work(tiny))


def test_a_truncated_archive_is_refused_before_torchserve_starts(tiny: Repository) -> None:
    mar = tiny.built_models / "model-store" / "gated.mar"
    mar.write_bytes(mar.read_bytes()[:-1])
    message = r"gated\.mar has \d+ bytes where \d+ are expected"
    with pytest.raises(InputError, match=message), embedded_server.running(tiny):
        pass
    assert not work(tiny).exists()


@pytest.mark.skipif(not libraries.count(libraries.FOLDER), reason="no newer Java libraries here")
def test_other_java_libraries_than_the_images_are_noted(
    tiny: Repository, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")  # a start that ends at once is enough
    with pytest.raises(HarnessError), embedded_server.running(tiny):
        pass
    assert "Java libraries" not in capfd.readouterr().err

    pins = tiny.jars_lock.read_text().splitlines(keepends=True)
    tiny.jars_lock.write_text("".join(pins[:-1]))
    with pytest.raises(HarnessError), embedded_server.running(tiny):
        pass
    assert f"the Java libraries are not the ones in {tiny.jars_lock}" in capfd.readouterr().err


def test_a_lock_of_java_libraries_that_cannot_be_read_is_named(tiny: Repository) -> None:
    tiny.jars_lock.write_text("netty\n")
    with pytest.raises(InputError, match=r"jars\.lock:1: not group:artifact:version"):
        embedded_server.running(tiny).__enter__()


def test_a_launcher_that_ends_in_the_middle_of_an_answer_is_not_ready() -> None:
    body = b'{"ok": false, "reason": "loading"}'
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = head.encode() + body

    def answering(length: int) -> tuple[bool, str]:
        with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor() as pool:
            probed = pool.submit(
                embedded_server.probe, f"http://127.0.0.1:{listening.getsockname()[1]}/"
            )
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer[:length])
            return probed.result(timeout=10)

    cut = {answering(length) for length in range(len(answer))}
    assert cut == {(False, "the launcher does not answer")}
    assert answering(len(answer)) == (False, "loading")


@pytest.mark.torchserve
@pytest.mark.parametrize("purpose", ["inference", "gRPC inference", "launcher"])
def test_a_port_that_is_lost_while_it_starts_is_named_with_who_took_it(
    tiny: Repository, monkeypatch: pytest.MonkeyPatch, purpose: str
) -> None:
    free = embedded_server._free_ports
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def as_before(servers: int) -> list[dict[str, int]]:
            return [{**free(servers)[0], purpose: port}]

        monkeypatch.setattr(embedded_server, "_free_ports", as_before)
        with pytest.raises(HarnessError) as caught, embedded_server.running(tiny):
            pass
    who = rf"{re.escape(psutil.Process().name())} \(process {os.getpid()}\)"
    message = rf"port {port} was taken while TorchServe started, by {who}"
    assert re.fullmatch(message, caught.value.message)
    assert "run it again" in caught.value.hint


def test_without_java_the_server_cannot_start(
    tiny: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    message = "/nowhere/bin/java: No such file"
    with pytest.raises(HarnessError, match=message) as caught, embedded_server.running(tiny):
        pass
    assert caught.value.exit_code == 3


def test_without_built_models_it_says_what_to_do(tiny: Repository) -> None:
    (tiny.built_models / "lock.yaml").unlink()
    with pytest.raises(HarnessError, match="harness models build"), embedded_server.running(tiny):
        pass


def test_the_derived_file_differs_from_the_containers_in_the_listed_keys_only(
    tiny: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with contextlib.suppress(HarnessError), embedded_server.running(tiny):
        pass
    derived = properties.parse((work(tiny).parent / "config.properties").read_text())
    lock = tiny.built_models / "lock.yaml"
    container = properties.parse(config.load(tiny, "local", lock).config_properties())
    differ = {key for key in derived | container if derived.get(key) != container.get(key)}
    assert differ <= config.LOCAL_KEYS


def test_in_a_deep_checkout_torchserve_works_elsewhere(
    tiny: Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    deep = Repository(tmp_path / ("deep" * 20))
    shutil.copytree(tiny.root, deep.root)
    with pytest.raises(HarnessError, match="/nowhere/bin/java"), embedded_server.running(deep):
        pass
    assert "the path of this clone is long" in capfd.readouterr().err


@pytest.mark.torchserve
def test_every_group_is_served_at_ports_of_its_own(
    tiny: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    second = tiny.app("local") / "speech"
    shutil.copytree(tiny.group("local"), second)
    with embedded_server.running_groups(tiny) as servers:
        for server in servers:
            assert ask(f"{server.inference_url}/predictions/gated", b"ask") == {"ok": True}
        target = embedded_target(tiny, "local", servers)
        reading = target.metrics()()  # type: ignore[misc]
    assert [server.group for server in servers] == ["torchserve", "speech"]
    assert target.url == servers[0].inference_url
    assert set(reading.texts) == {server.launcher_url for server in servers}
    assert "without the models" not in capsys.readouterr().err
    assert not processes(tiny.build / "serve")


def test_of_several_groups_only_one_may_be_asked_for(
    tiny: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny.group("local"), tiny.app("local") / "speech")
    (tiny.built_models / "lock.yaml").unlink()
    with (
        pytest.raises(HarnessError, match="harness models build"),
        embedded_server.running_groups(tiny, group="speech"),
    ):
        pass
    assert "without the models of torchserve" in capsys.readouterr().err


def test_one_group_is_served_and_the_others_are_named(
    tiny: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny.group("local"), tiny.app("local") / "speech")
    (tiny.built_models / "lock.yaml").unlink()
    with (
        pytest.raises(HarnessError, match="harness models build"),
        embedded_server.running(tiny, group="speech"),
    ):
        pass
    assert (
        "serves group speech of local, without the models of torchserve" in capsys.readouterr().err
    )
    assert (tiny.build / "serve" / "local-speech").is_dir()
    with (
        pytest.raises(HarnessError, match="no group 'vision'"),
        embedded_server.running(tiny, group="vision"),
    ):
        pass
