"""Several versions of a model, side by side: built, locked, kept, configured and served."""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import embedded_server
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.embedded_server import Server
from harness.models import build, verify
from harness.models.catalog import load_catalog
from harness.models.lock import Lock, load_lock, to_commit, write_lock
from harness.models.samples import load_samples
from harness.snapshot import config, properties
from tests.models.ranker import NEW, describe, plant, serve


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return plant(tmp_path_factory.mktemp("ranker"))


@pytest.fixture
def copied(ranker: Repository, tmp_path: Path) -> Repository:
    """A copy that a test may change."""
    return Repository(Path(shutil.copytree(ranker.root, tmp_path / "copied")))


def test_both_are_built_and_locked(copied):
    lock = build.build(copied)
    locked = lock.models["ranker"]
    assert (locked.version, [each.version for each in locked.others]) == (NEW, ["1.0"])
    assert locked.others[0].mar == "ranker_v1.mar"
    assert {path.name for path in build.store(copied).glob("*.mar")} == {
        locked.mar,
        "ranker_v1.mar",
    }
    write_lock(copied.lock, lock)
    assert load_lock(copied.lock) == lock
    assert verify.problems(copied) == []
    assert load_samples(copied, lock) == {"ranker": (), "ranker/1.0": ()}


def test_an_old_version_whose_archive_was_built_here_needs_no_file(copied, capsys):
    lock = build.build(copied)
    write_lock(copied.lock, lock)
    describe(copied.root, {"1.0": {}})
    (copied.models / "ranker/ranker_v1.mar").unlink()
    assert build.build(copied) == lock
    # On another machine it is in the bucket alone; the committed lock keeps it.
    (build.store(copied) / "ranker_v1.mar").unlink()
    built = build.build(copied)
    assert built.models["ranker"].others == ()
    assert "! ranker 1.0: its archive is not here: `harness models pull" in capsys.readouterr().err
    assert to_commit({"ranker": [NEW, "1.0"]}, built, lock) == lock


def test_the_configuration_has_one_default_and_each_version_its_settings(copied):
    write_lock(copied.lock, build.build(copied))
    serve(copied.root, {"maxWorkers": 4}, {"1.0": {"batchSize": 8}}, defaultVersion="1.0")
    snapshot = config.load(copied, "local")
    text = properties.parse(snapshot.config_properties())["model_snapshot"]
    served = json.loads(text)["models"]["ranker"]
    assert {version: each["defaultVersion"] for version, each in served.items()} == {
        "1.0": True,
        NEW: False,
    }
    assert (served["1.0"]["batchSize"], served["1.0"]["maxWorkers"]) == (8, 1)
    assert (served[NEW]["batchSize"], served[NEW]["maxWorkers"]) == (1, 4)
    assert json.loads(text)["modelCount"] == 2
    assert [each["marName"] for each in served.values()] == [
        file.name for file in snapshot.model_files
    ]


def test_a_version_that_no_group_names_is_not_served(copied):
    write_lock(copied.lock, build.build(copied))
    serve(copied.root, {}, {})
    [(_, version, entry)] = config.load(copied, "local").models.entries()
    assert (version, entry.default_version) == (NEW, True)


@pytest.mark.parametrize(
    ("versions", "more", "says"),
    [
        ({"1.1": {}}, {}, r"serving.yaml:\d+: models.ranker.versions.1.1: .*did you mean 1.0"),
        ({}, {"defaultVersion": "1.0"}, r"serving.yaml:\d+: models.ranker.defaultVersion: 1.0 is"),
        ({"1.0": {"batch": 1}}, {}, r"serving.yaml:\d+: models.ranker.versions.1.0.batch: unknown"),
    ],
)
def test_a_version_that_there_is_not_is_named_with_its_line(copied, versions, more, says):
    serve(copied.root, {}, versions, **more)
    with pytest.raises(InputError, match=says):
        config.load(copied, "local")


def test_a_served_version_without_a_locked_archive_says_how_to_get_it(copied):
    locked = build.build(copied).models["ranker"].model_copy(update={"others": ()})
    write_lock(copied.lock, Lock(models={"ranker": locked}))
    with pytest.raises(InputError, match=r"version 1.0 of model ranker is not in the lock\n  → "):
        config.load(copied, "local")


def test_a_version_is_not_its_own_other(copied):
    describe(copied.root, {"1.0": {}}, version="1.0")
    with pytest.raises(InputError, match=r"1.0 is the model's own version already"):
        load_catalog(copied.models)


@pytest.fixture(scope="module")
def served(ranker: Repository) -> Iterator[Server]:
    build.build(ranker)
    with embedded_server.running(ranker) as running:
        yield running


@pytest.mark.torchserve
def test_torchserve_serves_both_and_the_default_where_none_is_named(served):
    def answer(path: str) -> str:
        request = urllib.request.Request(f"{served.inference_url}/predictions/{path}", data=b"x")
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.read().decode()

    assert answer("ranker") == answer(f"ranker/{NEW}") == f"by {NEW}"
    assert answer("ranker/1.0") == "by 1.0"
