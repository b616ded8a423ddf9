"""A store laid out by hand keeps its files and their names."""

import json
import shutil
from pathlib import Path

import pytest

from harness import cli
from harness.archives.adopt import adopt
from harness.aws import ANY, Aws
from harness.core import files
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.models import build
from harness.models.catalog import load_catalog
from harness.models.lock import Lock, load_lock, write_lock
from tests.support.aws_server import Shim

MODEL = "mtcnn"


@pytest.fixture
def old(checkout: Repository, tmp_path: Path) -> Path:
    """The guide's folder, with one archive under a name of its own."""
    locked = build.build(checkout).models[MODEL]
    store = tmp_path / "model_store"
    store.mkdir()
    shutil.copy(build.store(checkout) / locked.mar, store / "faces.mar")
    return store


def test_the_lock_takes_the_name_that_the_file_has(checkout: Repository, old: Path) -> None:
    adopted = adopt(old, load_catalog(checkout.models), Lock())
    locked = adopted.lock.models[MODEL]
    assert (adopted.names, adopted.skipped) == ((MODEL,), ())
    assert (locked.mar, locked.sha256) == ("faces.mar", files.sha256(old / "faces.mar"))
    assert locked.size == (old / "faces.mar").stat().st_size
    assert [path.name for path in old.iterdir()] == ["faces.mar"]


def test_what_the_store_cannot_hold_is_named_with_what_to_do(
    checkout: Repository, old: Path
) -> None:
    (old / "toy.tar.gz").write_bytes(b"")
    (old / "two words.mar").write_bytes(b"")
    (old / "folder" / "MAR-INF").mkdir(parents=True)
    (old / "folder" / "MAR-INF" / "MANIFEST.json").write_text("{}")
    (old / "notes.txt").write_text("of a person")
    adopted = adopt(old, load_catalog(checkout.models), Lock())
    assert adopted.names == (MODEL,)
    assert [line.partition(":")[0] for line in adopted.skipped] == [
        "folder",
        "toy.tar.gz",
        "two words.mar",
    ]
    assert "`harness models build` repacks it" in adopted.skipped[0]


def test_two_archives_of_one_model_need_a_decision(checkout: Repository, old: Path) -> None:
    shutil.copy(old / "faces.mar", old / "faces-copy.mar")
    with pytest.raises(InputError, match=r"faces-copy.mar is mtcnn .* remove one"):
        adopt(old, load_catalog(checkout.models), Lock())


def test_a_damaged_archive_is_named(checkout: Repository, old: Path) -> None:
    (old / "faces.mar").write_bytes((old / "faces.mar").read_bytes()[:-100])
    with pytest.raises(InputError, match=r"faces\.mar: "):
        adopt(old, load_catalog(checkout.models), Lock())


def test_the_command_writes_the_lock_and_says_what_it_left(
    checkout: Repository,
    old: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    repository = Repository(tmp_path)
    (tmp_path / "clusters").mkdir()
    shutil.copytree(checkout.models, repository.models)
    shutil.rmtree(repository.models / MODEL)
    write_lock(repository.lock, Lock())
    monkeypatch.chdir(tmp_path)
    assert cli.main(["models", "adopt", "--store", str(old)]) == 1
    assert "there is no models/mtcnn" in capsys.readouterr().err
    shutil.copytree(checkout.models / MODEL, repository.models / MODEL)
    assert cli.main(["models", "adopt", "--store", str(old)]) == 0
    assert load_lock(repository.lock).models[MODEL].mar == "faces.mar"


@pytest.fixture
def staging(
    checkout: Repository, tmp_path: Path, shim: Shim, monkeypatch: pytest.MonkeyPatch
) -> Aws:
    """A checkout with staging's settings; the account that they lead to."""
    for folder in ("models", "clusters", "infra"):
        shutil.copytree(checkout.root / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return Aws("us-west-2", ANY)


def adopt_ownership(file_system: str) -> int:
    return cli.main(["models", "adopt", "--env", "staging", "--ownership", file_system])


def test_nobody_can_be_root_once_the_policy_stands(
    staging: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    file_system = str(
        staging.call("efs", "create_file_system", CreationToken="old")["FileSystemId"]
    )
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    staging.call("efs", "put_file_system_policy", FileSystemId=file_system, Policy=policy)
    assert adopt_ownership(file_system) == 1
    stderr = capsys.readouterr().err
    assert "has a file-system policy, which blocks root access" in stderr
    assert f"aws efs delete-file-system-policy --file-system-id {file_system}" in stderr


def test_a_file_system_that_is_not_there_is_named(
    staging: Aws, shim: Shim, capsys: pytest.CaptureFixture[str]
) -> None:
    shim.refuse("DescribeFileSystemPolicy", "FileSystemNotFound", status=404)
    assert adopt_ownership("fs-0123456789abcdef0") == 1
    assert "there is no file system fs-0123456789abcdef0" in capsys.readouterr().err


def test_ownership_needs_an_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "adopt", "--ownership", "fs-0123456789abcdef0"]) == 2
    assert "--ownership needs --env" in capsys.readouterr().err
