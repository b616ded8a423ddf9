"""Weights from anywhere: fetched once, resumed, verified, pinned."""

import hashlib
import http.server
import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import boto3
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from harness.core.errors import HarnessError, InputError
from harness.core.repository import Repository
from harness.models import build, pins, remote, source
from tests.support import aws_server

CONTENT = bytes(range(256)) * 9000  # more than two pieces of a download
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = {"config.json": b"{}", "1_Pooling/config.json": b"[]", "model.safetensors": CONTENT}


class Site(http.server.BaseHTTPRequestHandler):
    """Files with ranges, and the two answers of a model hub that its library asks for."""

    protocol_version = "HTTP/1.1"
    requests: ClassVar[list[tuple[str, str | None, str | None]]] = []
    cut_after: ClassVar[list[int]] = []  # bytes after which an answer ends, for the next ones
    content: ClassVar[bytes] = CONTENT

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.requests.append((path, self.headers["Range"], self.headers["Authorization"]))
        if path.startswith("/api/models/closed/"):
            self._send(401, b"", {"X-Error-Code": "GatedRepo"})
        elif path.startswith("/api/models/owner/name"):
            siblings = [{"rfilename": n, "size": len(c)} for n, c in REPOSITORY.items()]
            about = {"id": "owner/name", "sha": COMMIT, "siblings": siblings}
            card = {"cardData": {"license": "apache-2.0"}}
            self._send(200, json.dumps(about | card).encode(), {})
        elif match := re.fullmatch(rf"/owner/name/resolve/{COMMIT}/(.*)", path):
            self._send_part(REPOSITORY[match[1]])
        elif path == "/best.pth":
            self._send_part(self.content)
        else:
            self._send(404, b"", {})

    def _send_part(self, content: bytes) -> None:
        tag = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        start = int((self.headers["Range"] or "bytes=0-")[6:-1])
        self._send(206 if start else 200, content[start:], tag)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.cut_after and len(body) > self.cut_after[0]:
            self.wfile.write(body[: self.cut_after.pop(0)])
            self.close_connection = True
        elif body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    Site.requests.clear()
    Site.cut_after.clear()
    Site.content = CONTENT
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("HF_ENDPOINT", url)
        yield url
        server.shutdown()


@pytest.fixture
def folder(tiny: Repository) -> Path:
    return tiny.models / "tiny"


def ranges(path: str) -> list[str | None]:
    return [part for requested, part, _ in Site.requests if requested == path]


def test_a_file_is_fetched_once_and_pinned(site, folder):
    address = f"{site}/best.pth"
    assert remote.pin(address, folder).files["best.pth"].sha256 == SHA256
    remote.provide(address, folder)
    remote.pin(address, folder)
    assert source.file(address, folder)[0] == "best.pth"
    assert source.resolve(address, folder).read_bytes() == CONTENT
    assert ranges("/best.pth") == [None, None]  # one to look, one to fetch


def test_a_download_that_breaks_goes_on_where_it_ended(site, folder):
    Site.cut_after[:] = [0, 1 << 20]  # the look needs no byte
    address = f"{site}/best.pth"
    assert remote.pin(address, folder).files["best.pth"].sha256 == SHA256
    assert re.fullmatch(r"bytes=[1-9]\d+-", ranges("/best.pth")[-1] or "")


def test_a_download_that_never_ends_says_where_it_stopped_and_is_resumed(site, folder):
    Site.cut_after[:] = [0, 100_000, 100_000, 100_000]
    with pytest.raises(HarnessError) as caught:
        remote.pin(f"{site}/best.pth", folder)
    assert "the connection ended after" in str(caught.value)
    assert "→ run the command again: it goes on from there" in str(caught.value)
    assert remote.pin(f"{site}/best.pth", folder).files["best.pth"].sha256 == SHA256
    assert not (
        pins.cache_path(remote.pin(f"{site}/best.pth", folder).files["best.pth"])
    ).is_symlink()


def test_other_bytes_than_the_pinned_ones_are_refused(site, folder):
    address = f"{site}/best.pth"
    pin = remote.pin(address, folder)
    pins.commit(folder.parent, [address])
    pins.cache_path(pin.files["best.pth"]).unlink()
    Site.content = b"other"
    with pytest.raises(InputError) as caught:
        remote.provide(address, folder)
    assert f"{folder.parent / pins.NAME}:3: {address} holds other bytes" in str(caught.value)


def test_what_is_not_there_and_who_does_not_answer_are_named(site, folder):
    with pytest.raises(InputError, match=r"none.pth: not there"):
        remote.pin(f"{site}/none.pth", folder)
    with pytest.raises(HarnessError, match="no connection from this machine"):
        remote.pin("http://127.0.0.1:1/best.pth", folder)


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("hf://owner/name", set(REPOSITORY)),
        ("hf://owner/name@main/1_Pooling", {"config.json"}),
        ("hf://owner/name@main/model.safetensors", {"model.safetensors"}),
    ],
)
def test_a_hub_gives_a_repository_a_folder_or_a_file(site, folder, monkeypatch, address, names):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pin = remote.pin(address, folder)
    assert (pin.revision, pin.license, set(pin.files)) == (COMMIT, "apache-2.0", names)
    assert pin.is_folder == (len(pin.files) > 1 or address.endswith("Pooling"))
    tokens = {token for path, _, token in Site.requests if "owner/name" in path}
    assert tokens == {"Bearer hf_secret"}
    assert "hf_secret" not in pins.made_here(folder.parent).read_text()


def test_a_closed_repository_says_how_to_open_it(site, folder):
    with pytest.raises(
        HarnessError, match=r"closed, or not there\n  → accept its terms .* HF_TOKEN"
    ):
        remote.pin("hf://closed/name", folder)


def test_a_bucket_gives_a_file_or_a_folder(folder, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with aws_server.moto() as url:
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }.items():
            monkeypatch.setenv(name, value)
        s3 = boto3.session.Session().client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="weights")
        for name, content in REPOSITORY.items():
            s3.put_object(Bucket="weights", Key=f"net/{name}", Body=content)
        one = remote.pin("s3://weights/net/model.safetensors", folder)
        assert one.files["model.safetensors"].sha256 == SHA256
        assert set(remote.pin("s3://weights/net", folder).files) == set(REPOSITORY)
        with pytest.raises(InputError, match="no such object, and none below it"):
            remote.pin("s3://weights/none", folder)


def test_an_address_whose_package_is_missing_says_how_to_get_it(folder):
    with pytest.raises(
        HarnessError, match=r"gcsfs is not installed\n  → `.venv/bin/uv pip install"
    ):
        remote.pin("gs://weights/best.pth", folder)


@pytest.fixture
def cloud(monkeypatch, tmp_path):
    """A file system of fsspec, in memory, for gs:// and az://: as gcsfs and adlfs are."""

    class Cloud(MemoryFileSystem):
        protocol = ("gs", "az")
        store, pseudo_dirs = {}, [""]

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(path.partition("://")[2] or path)

    for scheme in Cloud.protocol:
        monkeypatch.setitem(_registry, scheme, Cloud)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, content in REPOSITORY.items():
        Cloud().pipe(f"/weights/net/{name}", content)
    return Cloud


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_other_clouds_give_a_file_or_a_folder(cloud, folder, scheme):
    one = remote.pin(f"{scheme}://weights/net/model.safetensors", folder)
    assert one.files["model.safetensors"].sha256 == SHA256
    assert not one.is_folder
    for address in ("weights/net", "weights/net/"):
        many = remote.pin(f"{scheme}://{address}", folder)
        assert many.is_folder
        assert set(many.files) == set(REPOSITORY)
    with pytest.raises(InputError, match="not there"):
        remote.pin(f"{scheme}://weights/none", folder)
    cloud().mkdir("/weights/empty")
    with pytest.raises(InputError, match="no file is below it"):
        remote.pin(f"{scheme}://weights/empty", folder)


def test_a_package_that_lacks_an_account_is_not_one_that_is_missing(cloud, folder, monkeypatch):
    def lacking(*_, **__):
        raise ValueError("Must provide either a connection_string or account_name")

    monkeypatch.setattr(cloud, "isdir", lacking)
    with pytest.raises(HarnessError, match=r"Must provide either") as caught:
        remote.pin("az://weights/net", folder)
    assert "not installed" not in str(caught.value)
    assert "AZURE_STORAGE_CONNECTION_STRING" in caught.value.hint


def test_a_file_of_this_machine_is_built_and_pinned(
    tiny: Repository, edit: Callable[[str, str], Path], tmp_path: Path
):
    weights = tmp_path / "best.pt"
    weights.write_bytes(CONTENT)
    edit("file: tiny.pt", f"file: {weights}")
    lock = build.build(tiny)
    pins.commit(tiny.models, [str(weights)])
    assert pins.committed_pins(tiny.models)[str(weights)].files["best.pt"].sha256 == SHA256
    weights.unlink()
    assert build.build(tiny) == lock  # as on a machine that lacks it
    weights.write_bytes(b"other")
    with pytest.raises(InputError, match="holds other bytes than are pinned"):
        build.build(tiny)


def test_a_build_takes_weights_from_the_web_and_names_their_license(site, tiny, edit, capsys):
    edit("file: tiny.pt", "file: hf://owner/name@main/model.safetensors")
    build.build(tiny)
    assert "is under apache-2.0, model.yaml says 'MIT'" in capsys.readouterr().err
    requests = len(Site.requests)
    build.build(tiny)
    assert len(Site.requests) == requests


def test_a_folder_of_a_hub_becomes_an_archive_with_its_form(site, tiny, edit):
    edit("torchscript:\n    file: tiny.pt", "huggingface:\n    folder: hf://owner/name")
    locked = build.build(tiny).models["tiny"]
    with zipfile.ZipFile(build.store(tiny) / locked.mar) as archive:
        packed = {name.removeprefix("model/"): archive.read(name) for name in archive.namelist()}
    assert {name: packed[name] for name in REPOSITORY} == REPOSITORY
