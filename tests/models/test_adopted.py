"""Archives as people have them: each form that TorchServe takes becomes a MAR that it serves."""

import http.server
import io
import json
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from harness.core import files
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.models import build
from harness.models.archive import MANIFEST
from harness.models.lock import LockedModel
from harness.models.samples import load_samples

CONTENT = {"handler.py": b"def handle(data, context): return data\n", "deep/weights.pt": b"w"}
ABOUT = {
    "createdOn": "23/11/2026 17:00:00",
    "runtime": "python",
    "model": {"modelName": "theirs", "modelVersion": "1", "handler": "handler.py"},
    "archiverVersion": "0.12.0",
}


def tree(**about: str | None) -> dict[str, bytes]:
    """An archive's files; of ABOUT's model, ``about`` replaces keys, or removes them by None."""
    model = {key: text for key, text in {**ABOUT["model"], **about}.items() if text is not None}
    return CONTENT | {MANIFEST: json.dumps(ABOUT | {"model": model}).encode()}


def mar(path: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in contents.items():
            packed.writestr(name, content)


def tar(path: Path, contents: dict[str, bytes], top: str = "theirs/") -> None:
    with tarfile.open(path, "w:gz") as packed:
        for name, content in contents.items():
            member = tarfile.TarInfo(top + name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))


def folder(path: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def nest(path: Path, contents: dict[str, bytes]) -> None:
    folder(path / "export", contents)


@pytest.fixture
def adopt(tmp_path: Path) -> Callable[..., Repository]:
    """A repository whose one model is an archive in models/toy."""

    def adopt(archive: str, version: str = "1", **more: object) -> Repository:
        home = tmp_path / "models" / "toy"
        home.mkdir(parents=True, exist_ok=True)
        adopted = {
            "archive": archive,
            **({"sha256": more.pop("sha256")} if "sha256" in more else {}),
        }
        about = {"name": "toy", "version": version, "description": "Theirs.", **more}
        text = yaml.safe_dump({**about, "artifact": {"adopted": adopted}})
        (home / "model.yaml").write_text(text)
        return Repository(tmp_path)

    return adopt


def build_toy(repository: Repository) -> tuple[LockedModel, dict[str, bytes]]:
    """The lock's entry, and the files as TorchServe will unpack them."""
    locked = build.make(repository, build.load_catalog(repository.models).models["toy"]).built
    path = build.store(repository) / locked.mar
    assert (files.sha256(path), path.stat().st_size) == (locked.sha256, locked.size)
    with zipfile.ZipFile(path) as packed:
        return locked, {name: packed.read(name) for name in packed.namelist()}


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("toy.tar.gz", tar),
        ("toy.tgz", tar),
        ("toy.model", partial(tar, top="./")),
        ("toy", folder),
        ("toy no-archive", nest),
        ("nlp/toy model.mar", mar),
    ],
)
def test_every_form_that_torchserve_takes_is_repacked_to_the_same_archive(adopt, name, write):
    repository = adopt(name)
    path = repository.models / "toy" / name
    path.parent.mkdir(exist_ok=True)
    write(path, tree())
    locked, contents = build_toy(repository)
    assert locked.mar == f"toy-1-{locked.sha256[:12]}.mar"
    assert {each: contents[each] for each in CONTENT} == CONTENT
    assert contents.keys() == {*CONTENT, MANIFEST}
    manifest = json.loads(contents[MANIFEST])
    assert manifest["model"] == ABOUT["model"] | {"modelName": "toy"}
    # The same archive from each form, today and tomorrow: it is named by its content.
    assert locked.sha256.startswith("841b69554dbf")


def test_a_mar_that_the_store_can_hold_is_served_as_it_is(adopt):
    repository = adopt("theirs_v1.mar")
    mar(theirs := repository.models / "toy" / "theirs_v1.mar", tree())
    locked, _ = build_toy(repository)
    # Its manifest names another model: TorchServe serves it under the name of its configuration.
    assert (locked.mar, locked.sha256) == ("theirs_v1.mar", files.sha256(theirs))


def test_an_archive_that_names_no_version_is_torchserves_version(adopt):
    repository = adopt("theirs.mar", version="1.0")
    mar(repository.models / "toy" / "theirs.mar", tree(modelVersion=None))
    assert build_toy(repository)[0].version == "1.0"


def test_a_version_of_any_text_is_served_from_a_file_with_a_safe_name(adopt):
    version = "2024-03-20-18:11"
    repository = adopt("theirs.tgz", version=version, samples=[], reference=None)
    tar(repository.models / "toy" / "theirs.tgz", tree(modelVersion=version))
    locked, contents = build_toy(repository)
    assert locked.mar == f"toy-2024-03-20-18-11-{locked.sha256[:12]}.mar"
    assert json.loads(contents[MANIFEST])["model"]["modelVersion"] == version
    assert load_samples(repository, build.build(repository)) == {"toy": ()}


@pytest.mark.parametrize("version", ["a b", "1/0", "$HOME", "1.0'", ".."])
def test_a_version_that_no_url_or_log_line_can_hold_is_refused_in_words(adopt, version):
    with pytest.raises(InputError, match=r"model.yaml:\d+: version: .* cannot be a version: it is"):
        build.load_catalog(adopt("a.mar", version=version).models)


def test_without_a_manifest_the_handler_comes_from_model_yaml(adopt):
    repository = adopt("plain", version="1.0")
    folder(repository.models / "toy" / "plain", CONTENT)
    with pytest.raises(InputError, match=r"names no handler.*\n  → write `handler:` into model"):
        build_toy(repository)
    repository = adopt("plain", version="1.0", handler="handler.py")
    assert build.build(repository).models["toy"].version == "1.0"
    _, contents = build_toy(repository)
    assert json.loads(contents[MANIFEST])["model"]["handler"] == "handler.py"
    with pytest.raises(InputError, match=r"handler other.py is not in the archive"):
        build_toy(adopt("plain", version="1.0", handler="other.py"))


def test_a_tar_without_a_folder_at_its_top_is_explained(adopt):
    repository = adopt("flat.tar.gz", version="1.0")
    tar(repository.models / "toy" / "flat.tar.gz", tree(), top="")
    with pytest.raises(InputError, match=r"TorchServe .* drops the first folder of each name"):
        build_toy(repository)


@pytest.mark.parametrize(("name", "write"), [("out.tar.gz", tar), ("out.mar", mar)])
def test_a_file_that_would_lie_outside_is_refused(adopt, name, write):
    repository = adopt(name)
    write(repository.models / "toy" / name, tree() | {"../../escaped.py": b""})
    with pytest.raises(InputError, match=r"escaped.py would lie outside the unpacked archive"):
        build_toy(repository)
    assert not list(repository.root.rglob("escaped.py"))


def test_a_truncated_tar_is_refused(adopt):
    repository = adopt("cut.tar.gz")
    tar(path := repository.models / "toy" / "cut.tar.gz", tree())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"cut.tar.gz: truncated or corrupt: .*\n  → TorchServe"):
        build_toy(repository)


def test_a_changed_file_in_a_folder_is_built_again(adopt):
    repository = adopt("toy")
    folder(home := repository.models / "toy" / "toy", tree())
    before = build.build(repository).models["toy"]
    assert build.build(repository).models["toy"] == before
    (home / "deep/weights.pt").write_bytes(b"better")
    assert build.build(repository).models["toy"] != before


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A web server's URL, and the folder behind it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    behind = tmp_path / "behind"
    behind.mkdir()
    handler = partial(_Quiet, directory=str(behind))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", behind
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_an_archive_at_a_url_is_fetched_once_and_pinned(adopt, remote):
    url, behind = remote
    mar(behind / "toy.mar", tree())
    sha256 = files.sha256(behind / "toy.mar")
    repository = adopt(f"{url}/toy.mar")
    assert build.build(repository).models["toy"].sha256 == sha256
    shutil.rmtree(behind)
    locked = build.build(repository, rebuild=True).models["toy"]
    assert (locked.mar, locked.sha256) == ("toy.mar", sha256)


def test_another_file_at_the_url_is_refused(adopt, remote):
    url, behind = remote
    mar(behind / "toy.mar", tree())
    repository = adopt(f"{url}/toy.mar", sha256="0" * 64)
    with pytest.raises(InputError, match=r"model.yaml:\d+: .*/toy.mar has sha256 .*, not 0000"):
        build.build(repository)
