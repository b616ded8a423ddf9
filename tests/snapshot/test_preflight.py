"""Every fault that TorchServe would get wrong is found before it starts, and says where."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import InputError
from harness.models.lock import LockedModel
from harness.snapshot import preflight, properties
from harness.snapshot.config import ModelFile
from tests.snapshot.archives import write_archive

Json = dict[str, object]


class Subject:
    """A sound config.properties and its store, which a test then spoils."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "config.properties"
        self.store = folder / "store"
        self.mar = write_archive(self.store, "cat", "1.0")
        self.values: dict[str, str] = {"model_store": str(self.store), "allowed_urls": "none"}
        self.entry: Json = {
            "defaultVersion": True,
            "marName": "cat.mar",
            "minWorkers": 1,
            "maxWorkers": 2,
            "batchSize": 1,
            "maxBatchDelay": 1,
        }
        self.versions: Json = {"1.0": self.entry}
        self.count = 1

    def faults(self, *, files: tuple[ModelFile, ...] = (), gpus: int | None = None) -> list[str]:
        models = json.dumps({"cat": self.versions})
        pieces = [f'{{"modelCount":{self.count},"models":', models, "}"]
        values = {"model_snapshot": pieces, **self.values}
        self.path.write_text("# line 1\n" + properties.dump(values))
        try:
            preflight.check(self.path, files=files, gpus=gpus)
        except InputError as error:
            return str(error).splitlines()
        return []


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    return Subject(tmp_path)


def test_a_sound_file_passes(subject: Subject) -> None:
    file = ModelFile(subject.mar.mar, subject.mar.sha256, subject.mar.size)

    assert subject.faults(files=(file,), gpus=0) == []


def second(mar: str = "cat.mar", *, default: bool = False) -> Callable[[Subject], None]:
    """Adds a version 2.0."""

    def spoil(subject: Subject) -> None:
        subject.versions["2.0"] = {**subject.entry, "defaultVersion": default, "marName": mar}
        subject.count = 2

    return spoil


def parallel(subject: Subject) -> None:
    subject.values["number_of_gpu"] = "3"
    subject.entry.update(parallelLevel=2, minWorkers=2)


def truncate(subject: Subject) -> None:
    mar = subject.store / "cat.mar"
    mar.write_bytes(mar.read_bytes()[:-1])


def damage(subject: Subject) -> None:
    mar = subject.store / "cat.mar"
    mar.write_bytes(mar.read_bytes().replace(b"return", b"raturn"))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        pytest.param(
            lambda s: (s.store / "cat.mar").unlink(),
            ":3: cat 1.0: cat.mar is not in the model store ",
            id="missing-archive",
        ),
        pytest.param(truncate, ":3: cat 1.0: .*truncated or corrupt", id="truncated-by-one-byte"),
        pytest.param(damage, ":3: cat 1.0: .*handler.py does not fit its checksum", id="corrupt"),
        pytest.param(
            lambda s: write_archive(s.store, "cat", "1.1", "cat.mar"),
            ":3: cat 1.0: its archive says version 1.1",
            id="other-version",
        ),
        pytest.param(
            second(), ":3: cat 2.0: the same version 1.0 as the entry 1.0", id="twice-one-version"
        ),
        pytest.param(
            lambda s: s.entry.pop("minWorkers"),
            r":2: model_snapshot: models.cat.1.0.minWorkers is missing",
            id="missing-key",
        ),
        pytest.param(
            lambda s: setattr(s, "count", 0),
            ":2: modelCount 0: TorchServe would start without a model",
            id="no-count",
        ),
        pytest.param(
            lambda s: setattr(s, "count", 2),
            ":2: modelCount 2, but 1 are listed",
            id="untrue-count",
        ),
        pytest.param(
            lambda s: s.entry.update(minWorkers=3),
            ":3: cat 1.0: minWorkers 3 > maxWorkers 2",
            id="workers",
        ),
        pytest.param(
            lambda s: s.entry.update(defaultVersion=False),
            ":3: cat needs one default version and has none",
            id="no-default",
        ),
        pytest.param(
            second(default=True),
            ":3: cat needs one default version and has 1.0 and 2.0",
            id="two-defaults",
        ),
        pytest.param(
            parallel,
            ":3: cat 1.0: 2 workers of 2 GPUs each do not fit in number_of_gpu 3",
            id="gpus-of-workers",
        ),
        pytest.param(
            lambda s: s.values.update(number_of_gpu="2"),
            ":7: number_of_gpu 2, but this machine has 1",
            id="gpus-of-machine",
        ),
        pytest.param(
            lambda s: s.values.pop("allowed_urls"), ": allowed_urls is open: file://", id="default"
        ),
        pytest.param(
            lambda s: s.values.update(allowed_urls="https://ours.example/.*,HTTPS?://.*"),
            r":6: allowed_urls is open: HTTPS\?://",
            id="open-urls",
        ),
        pytest.param(
            lambda s: s.values.update(management_address="http://0.0.0.0:8081"),
            ":7: management_address http://0.0.0.0:8081 is off loopback",
            id="management",
        ),
        pytest.param(
            lambda s: s.values.update(grpc_management_address="10.1.2.3"),
            ":7: grpc_management_address 10.1.2.3 is off loopback",
            id="grpc-management",
        ),
        pytest.param(
            lambda s: s.values.pop("model_store"), ": model_store is missing", id="no-store"
        ),
    ],
)
def test_a_fault_is_found(
    subject: Subject, spoil: Callable[[Subject], object], expected: str
) -> None:
    spoil(subject)

    faults = subject.faults(gpus=1 if "machine" in expected else None)

    assert [fault for fault in faults if re.match(re.escape(str(subject.path)) + expected, fault)]


@pytest.mark.parametrize("allowed", ["none", r"https://ours\.example/.*", "s3://ours/.*"])
def test_a_closed_pattern_passes(subject: Subject, allowed: str) -> None:
    subject.values["allowed_urls"] = allowed

    assert subject.faults() == []


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1", "http://localhost:1", "https://[::1]:1", "unix:/tmp/x"]
)
def test_loopback_passes(subject: Subject, address: str) -> None:
    subject.values["management_address"] = address

    assert subject.faults() == []


def test_every_fault_is_told_at_once(subject: Subject) -> None:
    subject.values["management_address"] = "http://0.0.0.0:8081"
    subject.values["allowed_urls"] = ".*"
    subject.entry.update(minWorkers=3)

    assert len(subject.faults()) == 3


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"size": 7}, "bytes where 7 are expected"),
        ({"sha256": "0" * 64}, f"where {'0' * 64} is expected"),
    ],
)
def test_an_archive_that_is_not_the_locked_one_is_found(
    subject: Subject, change: dict[str, object], expected: str
) -> None:
    mar: LockedModel = subject.mar.model_copy(update=change)

    [fault] = subject.faults(files=(ModelFile(mar.mar, mar.sha256, mar.size),))

    assert fault.endswith(expected)


@pytest.mark.parametrize("text", ["model_snapshot={", "model_snapshot=[]", "model_snapshot=7"])
def test_a_snapshot_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.properties"
    path.write_text(f"model_store=/\nallowed_urls=none\n{text}\n")

    with pytest.raises(InputError, match=r"config\.properties:3: model_snapshot"):
        preflight.check(path)


def test_a_model_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.properties"
    path.write_text('model_snapshot={"modelCount":1,"models":{"cat":{},"cat":{}}}\n')

    with pytest.raises(InputError, match=r":1: model_snapshot .*duplicate key 'cat'"):
        preflight.check(path)
