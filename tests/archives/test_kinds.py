"""A needed archive of each kind survives both garbage collections; what nobody needs goes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.archives import gc
from harness.core.repository import Repository
from harness.model_sync.store import _NAME, Store
from harness.models import build
from harness.models.lock import NAME, LockedModel, mar_name, write_lock
from harness.snapshot import config
from tests.archives.sync_job import MODULES
from tests.models.ranker import NEW, describe, plant, serve


@pytest.fixture
def built(tmp_path: Path) -> Repository:
    """A commit whose lock has a repacked .tar.gz, and a MAR under a name of its own."""
    repository = plant(tmp_path / "ranker")
    write_lock(repository.lock, build.build(repository))
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message=new")):
        argv = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *words]
        subprocess.run(argv, cwd=repository.root, check=True)
    return repository


def names(repository: Repository) -> set[str]:
    return {path.name for path in build.store(repository).glob("*.mar")}


def test_the_bucket_keeps_each_kind(built: Repository) -> None:
    repacked, theirs = sorted(names(built))
    assert repacked.startswith(f"ranker-{NEW.replace(':', '-')}-")
    assert theirs == "ranker_v1.mar"
    assert gc.needed_archives(built) == {repacked, theirs}


def test_the_bucket_keeps_a_version_that_exists_as_an_archive_only(built: Repository) -> None:
    describe(built.root, {"1.0": {}})
    (built.models / "ranker" / "ranker_v1.mar").unlink()
    write_lock(built.lock, build.build(built))
    assert gc.needed_archives(built) == names(built)


def test_the_store_keeps_each_version_that_a_group_was_last_asked_for(built: Repository) -> None:
    serve(built.root, {}, {"1.0": {}})
    properties = built.root / "config.properties"
    properties.write_text(config.load(built, "local").config_properties())
    store = Store(built.root / "data" / "model_store")
    store.folder.mkdir(parents=True)
    for name in (*names(built), "nobody-0123456789ab.mar"):
        (store.folder / name).write_bytes(b"archive")
    store.record("torchserve", properties)
    (built.root / "keep.json").write_text("[]")
    argv = [f"--store={store.folder}", f"--keep={built.root / 'keep.json'}", "--remove"]
    swept = subprocess.run(
        [sys.executable, "-m", "model_sync.gc", *argv],
        cwd=MODULES, env={}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    removed = [each["name"] for each in json.loads(swept.stdout)["unneeded"]]
    assert removed == ["nobody-0123456789ab.mar"]
    assert {path.name for path in store.folder.glob("*.mar")} == names(built)


@given(
    name=st.from_regex(NAME, fullmatch=True).filter(lambda text: len(text) <= 100),
    version=st.from_regex(r"[\w:+@=,~!-][\w.:+@=,~!-]{0,40}", fullmatch=True).filter(str.isascii),
    digest=st.text("0123456789abcdef", min_size=64, max_size=64),
)
def test_both_read_every_name_that_a_build_gives_whole(
    name: str, version: str, digest: str
) -> None:
    locked = LockedModel(
        version=version, mar=mar_name(name, version, digest), sha256=digest, size=1
    )
    assert gc._MAR.findall(f"    mar: {locked.mar}\n") == [locked.mar]
    assert _NAME.findall(f'{{"marName":"{locked.mar}"}}') == [locked.mar]
    assert len(f".{locked.mar}.12345678.part") <= 255
