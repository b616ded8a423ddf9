import functools
import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.models.weights import UnreachableError, fetch

CONTENT = b"weights" * 1000
NAME = f"net-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    served = tmp_path / "served"
    served.mkdir()
    (served / NAME).write_bytes(CONTENT)
    (served / "net-00000000.pth").write_bytes(CONTENT)
    handler = functools.partial(Quiet, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_weights_are_downloaded_once(site, tmp_path):
    path = fetch(f"{site}/{NAME}", tmp_path / "kept")
    assert path.read_bytes() == CONTENT
    assert fetch(f"http://127.0.0.1:1/{NAME}", tmp_path / "kept") == path


def test_a_download_that_does_not_fit_its_checksum_is_not_kept(site, tmp_path):
    with pytest.raises(UnreachableError, match="does not fit the checksum in its name"):
        fetch(f"{site}/net-00000000.pth", tmp_path / "kept")
    assert not list((tmp_path / "kept").iterdir())


def test_a_file_that_the_server_lacks_is_unreachable(site, tmp_path):
    with pytest.raises(UnreachableError, match="404"):
        fetch(f"{site}/other.pth", tmp_path)


def test_a_port_where_nobody_listens_is_unreachable(tmp_path):
    with pytest.raises(UnreachableError, match="refused"):
        fetch(f"http://127.0.0.1:1/{NAME}", tmp_path)


def test_a_server_that_never_answers_is_given_up_within_seconds(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(UnreachableError, match="no answer within 4 s"):
            fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/{NAME}", tmp_path)
    assert time.monotonic() - started < 8
