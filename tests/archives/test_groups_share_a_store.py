"""Several groups fill one store: they take turns, and no group loses what another one has."""

import fcntl
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.models.lock import LockedModel
from tests.archives.conftest import Archive
from tests.archives.sync_job import Job
from tests.archives.test_sweep import KILLED, Sweep
from tests.support.aws_server import Reply, Shim

SECOND = "vision"


@pytest.fixture
def second(job: Job, push: Callable, archive: Callable[..., Archive]) -> Job:
    """Another group's Job on the same store, for an archive of its own."""
    built = archive(b"another group's weights")
    push(built)
    folder = job.folder / SECOND
    folder.mkdir()
    (folder / "data").symlink_to(job.folder / "data")
    environment = {**job.environment, "MODEL_SYNC_GROUP": SECOND}
    return Job(job.bucket, folder, environment).wants(built[1])


def sync(job: Job, *locked: LockedModel) -> None:
    """Run a Job whose configuration names its archives, as a snapshot does."""
    if locked:
        job.wants(*locked)
    listed = json.loads(job.files.read_text())
    config = [json.dumps({"marName": each["name"]}) for each in listed]
    (job.folder / "config.properties").write_text("\n".join(config))
    code, out = job.run()
    assert code == 0, out


def collect(job: Job, *options: str, groups: tuple[str, ...], how: tuple[str, ...] = ()) -> dict:
    """Run the garbage collection with nothing to keep but what the store has on record."""
    (job.folder / "keep.json").write_text("[]")
    (job.folder / "groups.json").write_text(json.dumps(groups))
    words = (f"--groups={job.folder / 'groups.json'}", *options)
    code, out = Sweep(job.folder).run(*words, how=how or ("-m", "model_sync.gc"))
    assert code == (9 if how else 0), out
    return {} if how else json.loads(out)


def test_what_any_group_was_last_asked_for_stays(
    job: Job,
    second: Job,
    pushed: LockedModel,
    shim: Shim,
) -> None:
    config = job.folder / "data" / "config"
    sync(job, pushed)
    process = second.start()
    shim.lose("GetObject", process.kill)
    with process:
        process.wait(timeout=60)
    both = ("torchserve", SECOND)
    assert collect(job, "--remove", groups=both)["unneeded"] == []
    assert pushed.mar in job.holds()
    sync(second)
    assert {path.name for path in config.iterdir()} == set(both)
    assert collect(job, "--remove", groups=both)["unneeded"] == []
    assert job.holds() == sorted([*_names(second), pushed.mar, "manifest.json"])


def _names(job: Job) -> list[str]:
    return [each["name"] for each in json.loads(job.files.read_text())]


def test_the_record_of_a_sync_before_groups_counts_until_the_first_group_has_its_own(
    job: Job,
    second: Job,
    pushed: LockedModel,
) -> None:
    old = job.folder / "data" / "config" / "config.properties"
    old.parent.mkdir()
    old.write_text('{"marName":"old-1.mar"}')
    sync(second)
    (job.store / "old-1.mar").write_bytes(b"old")
    assert collect(job, "--remove", groups=("torchserve", SECOND))["unneeded"] == []
    sync(job, pushed)
    assert not old.exists()
    unneeded = collect(job, groups=("torchserve", SECOND))["unneeded"]
    assert [each["name"] for each in unneeded] == ["old-1.mar"]


@pytest.fixture
def store(tmp_path: Path) -> Sweep:
    """A store with the archives and records of two groups, without a bucket."""
    store = Sweep(tmp_path)
    store.store.mkdir(parents=True)
    for group in ("torchserve", SECOND):
        (store.store / f"{group}-1.mar").write_bytes(b"weights")
        record = tmp_path / "data" / "config" / group / "config.properties"
        record.parent.mkdir(parents=True)
        record.write_text(f'{{"marName":"{group}-1.mar"}}')
    (tmp_path / "keep.json").write_text("[]")
    (tmp_path / "groups.json").write_text('["torchserve"]')
    return store


def test_a_group_that_is_gone_loses_its_record_and_then_its_archives(store: Sweep) -> None:
    """In two runs: between them the cluster says whether it came back."""
    options = (f"--groups={store.folder / 'groups.json'}", "--remove")
    config = store.folder / "data" / "config"
    code, out = store.run(*options)
    assert (code, json.loads(out)) == (0, {"unneeded": [], "gone": [SECOND], "removed": True})
    assert [path.name for path in config.iterdir()] == ["torchserve"]
    assert store.run(*options, how=("-c", KILLED))[0] == 9
    assert store.unneeded_archives(*options) == {f"{SECOND}-1.mar": 7}
    assert store.holds() == {"torchserve-1.mar", "manifest.json"}


def test_without_the_groups_of_the_cluster_no_record_is_removed(store: Sweep) -> None:
    assert store.unneeded_archives("--remove") == {}
    (store.folder / "groups.json").write_text("{}")
    code, out = store.run(f"--groups={store.folder / 'groups.json'}", "--remove")
    assert (code, out) == (1, f"✗ {store.folder / 'groups.json'} is not a list of names\n")


def test_records_that_cannot_be_read_are_not_missing_ones(store: Sweep) -> None:
    record = store.folder / "data" / "config" / SECOND / "config.properties"
    record.unlink()
    record.mkdir()
    code, out = store.run("--remove")
    assert code == 1
    assert "config: cannot be read" in out
    assert f"{SECOND}-1.mar" in store.holds()


def test_who_waits_says_for_whom_and_not_for_ever(store: Sweep) -> None:
    with (store.store / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("the sync of group vision, pod vision-model-sync-x7k2p,\n")
        lock.flush()
        code, out = store.run("--wait-seconds=0.2")
    holder = "the sync of group vision, pod vision-model-sync-x7k2p,"
    assert code == 1
    assert out.splitlines() == [
        f"waiting for the model store for 0 s: {holder} has it",
        f"✗ waited 0 s for the model store, and {holder} still has it",
    ]


def test_who_has_the_store_has_its_name_in_the_lock(store: Sweep) -> None:
    store.unneeded_archives()
    assert (store.store / ".lock").read_text().startswith("a garbage collection, pod ")


def test_waiting_does_not_count_as_work(job: Job, pushed: LockedModel) -> None:
    job.wants(pushed).environment["MODEL_SYNC_DEADLINE_SECONDS"] = "20"
    job.store.mkdir()
    with (job.store / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = job.start()
        assert process.stdout
        assert process.stdout.readline().startswith("waiting for the model store")
        job.environment["MODEL_SYNC_WAIT_SECONDS"] = "0.1"
        assert job.run()[0] == 1
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 0, out


def test_past_its_deadline_it_says_so_and_leaves_nothing_unfinished(
    job: Job,
    pushed: LockedModel,
    shim: Shim,
) -> None:
    job.wants(pushed).environment["MODEL_SYNC_DEADLINE_SECONDS"] = "0.5"
    process = job.start()

    def too_late(_: object, ask: Callable[[], Reply]) -> Reply:
        process.wait(timeout=30)
        return ask()

    shim.twists["GetObject"].append(too_late)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "raise modelStore.sync.deadlineSeconds" in out
    assert job.holds() == []
    del job.environment["MODEL_SYNC_DEADLINE_SECONDS"]
    assert job.run()[0] == 0, "the lock is free"


def test_an_image_before_groups_is_given_no_option_that_it_refuses() -> None:
    """The chart speaks to it by variables, which it ignores."""
    template = Path("apps/torchserve/chart/templates/model-sync-job.yaml").read_text()
    words = [line.strip() for line in template.splitlines() if line.strip().startswith("- --")]
    options = {word.removeprefix("- --").partition("=")[0] for word in words}
    assert options == {"source", "files", "config", "store"}
