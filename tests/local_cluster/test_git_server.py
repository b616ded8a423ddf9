"""The Git server answers a fetch over smart HTTP, and nothing else."""

import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.repository import Repository
from harness.local_cluster import bare_repository
from harness.local_cluster.ports import Ports

_SECONDS = 30


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A served repository with one file; the address of its server's folder."""
    bare = bare_repository.create(tmp_path / "git", Repository(tmp_path))
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.yaml").write_text("a: 1\n")
    bare.take(Repository(work), {})
    port = Ports.free().git
    argv = [sys.executable, "-m", "harness.local_cluster.git_server", str(tmp_path / "git")]
    with subprocess.Popen([*argv, "--port", str(port)], stderr=subprocess.DEVNULL) as server:
        address = f"http://127.0.0.1:{port}"
        try:
            _until_healthy(f"{address}/healthz")
            yield address
        finally:
            server.terminate()


def _until_healthy(address: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the server does not answer")


def _git(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=cwd, capture_output=True, text=True, timeout=60)


def test_clone_gets_the_files(url: str, tmp_path: Path) -> None:
    result = _git("clone", "--quiet", f"{url}/{bare_repository.NAME}", "copy", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "copy" / "a.yaml").read_text() == "a: 1\n"


def test_single_commit_can_be_fetched(url: str, tmp_path: Path) -> None:
    head = bare_repository.Bare(tmp_path / "git" / bare_repository.NAME).head()
    _git("init", "--quiet", "copy", cwd=tmp_path)
    result = _git(
        "fetch", "--depth=1", f"{url}/{bare_repository.NAME}", head, cwd=tmp_path / "copy"
    )
    assert result.returncode == 0, result.stderr


def test_push_is_refused(url: str, tmp_path: Path) -> None:
    _git("clone", "--quiet", f"{url}/{bare_repository.NAME}", "copy", cwd=tmp_path)
    result = _git("push", "--quiet", "origin", "HEAD:other", cwd=tmp_path / "copy")
    assert result.returncode != 0
    assert "403" in result.stderr


@pytest.mark.parametrize("path", ["/", "/../etc/passwd", "/repository.git/config"])
def test_anything_else_is_refused(url: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url + path, timeout=5)
    refused.value.close()
    assert refused.value.code == 403


_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: git\r\nConnection: close\r\n\r\n"
_POST = (
    b"POST /repository.git/git-upload-pack HTTP/1.1\r\nHost: git\r\n"
    b"Content-Type: application/x-git-upload-pack-request\r\n"
)


@pytest.mark.parametrize(
    ("content", "statuses"),
    [
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\n0000\r\n0\r\nA: 1\r\nB: 2\r\n\r\n", [200, 200]),
        (b"Transfer-Encoding: chunked\r\n\r\nsome\r\n0000\r\n0\r\n\r\n", [400]),
        (b"Content-Length: 99999999999\r\n\r\n", [413]),
    ],
)
def test_a_request_ends_where_it_says(url: str, content: bytes, statuses: list[int]) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), _SECONDS) as client:
        client.sendall(_POST + content + _HEALTH)
        received = b"".join(iter(lambda: client.recv(1 << 16), b""))
    assert [int(each) for each in re.findall(rb"HTTP/1\.1 (\d+) ", received)] == statuses
