"""The sync Job's program, run as the image runs it: no fault leaves a half file behind."""

import fcntl
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.archives.push import Bucket
from harness.launcher import BadInput, store
from harness.model_sync import SyncError
from harness.model_sync.store import File, Store
from harness.models.lock import LockedModel
from tests.archives.conftest import Archive
from tests.archives.sync_job import Job
from tests.support.aws_server import Reply, Shim

MEASURED = """
import runpy
try:
    runpy.run_module("model_sync", run_name="__main__", alter_sys=True)
finally:
    print(open("/proc/self/status").read())
"""


def truncate(to: int) -> Callable:
    """The object is shorter than it should be."""

    def cut(_: object, ask: Callable[[], Reply]) -> Reply:
        reply = ask()
        return Reply(reply.status, reply.headers, reply.body[:to])

    return cut


def assert_accepted(job: Job, pushed: LockedModel) -> None:
    """What the launcher does with the store before it starts TorchServe."""
    archives = store.read(job.files, [pushed.mar])
    store.verify(job.store, archives, lambda: False)


def test_it_fills_an_empty_store_that_the_launcher_accepts(job: Job, pushed: LockedModel) -> None:
    code, out = job.wants(pushed).run()
    assert (code, out.splitlines()[0]) == (0, f"{pushed.mar}: copied")
    assert job.holds() == ["manifest.json", pushed.mar]
    assert_accepted(job, pushed)
    assert json.loads((job.store / "manifest.json").read_text()) == json.loads(
        job.files.read_text()
    )
    assert (
        job.folder / "data/config/torchserve/config.properties"
    ).read_text() == "load_models=all\n"
    assert (job.store / pushed.mar).stat().st_mode & 0o777 == 0o644


def test_a_second_run_reads_nothing_from_s3(job: Job, pushed: LockedModel, shim: Shim) -> None:
    job.wants(pushed).run()
    shim.calls.clear()
    code, out = job.run()
    assert (code, out.splitlines()[0]) == (0, f"{pushed.mar}: was there")
    assert shim.calls == []


def test_an_older_release_stays_whole(
    job: Job, pushed: LockedModel, push: Callable, archive: Callable[..., Archive]
) -> None:
    job.wants(pushed).run()
    newer = archive(b"better weights")
    push(newer)
    assert job.wants(newer[1]).run()[0] == 0
    assert job.holds() == sorted([pushed.mar, newer[1].mar, "manifest.json"])
    known = {each["name"] for each in json.loads((job.store / "manifest.json").read_text())}
    assert known == {pushed.mar, newer[1].mar}


def test_killed_in_the_middle_it_starts_over(job: Job, pushed: LockedModel, shim: Shim) -> None:
    process = job.wants(pushed).start()
    shim.lose("GetObject", process.kill)
    with process:
        process.wait(timeout=60)
    assert process.returncode == -9
    assert pushed.mar not in job.holds()
    (job.store / f".{pushed.mar}.left.part").write_bytes(b"half")
    with pytest.raises(BadInput, match="cannot be read"):
        assert_accepted(job, pushed)  # the launcher names the file, and does not serve
    assert job.run()[0] == 0
    assert job.holds() == ["manifest.json", pushed.mar]


@pytest.fixture(params=["as a process", "as PID 1"])
def isolated(request: pytest.FixtureRequest) -> list[str]:
    """What starts a program as a container does, if so: as PID 1, whose signals may be dropped."""
    if request.param == "as a process":
        return []
    words = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--"]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody make a PID namespace")
    return words


def test_told_to_stop_it_ends_at_once_and_leaves_nothing_half_done(
    job: Job, pushed: LockedModel, shim: Shim, isolated: list[str]
) -> None:
    """A Job that is deleted must not go on for its grace period, with the store's lock."""
    job.wants(pushed)
    job.argv = [*isolated, *job.argv]
    process = job.start()

    def on_signal(*_: object) -> None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]) if isolated else process.pid, signal.SIGTERM)
        process.wait(timeout=10)

    shim.twists["GetObject"].append(on_signal)
    try:
        process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert job.holds() == []
    job.argv = job.argv[len(isolated) :]
    assert job.run()[0] == 0, "the lock is free"


def test_a_connection_that_is_lost_is_taken_up_where_it_broke(
    job: Job, pushed: LockedModel, shim: Shim
) -> None:
    ranges = []

    def breaks(_: object, ask: Callable[[], Reply]) -> Reply:
        reply = ask()
        reply.headers["x-cut"] = "1500000"
        return reply

    def goes_on(request, ask: Callable[[], Reply]) -> Reply:  # noqa: ANN001, RUF100
        ranges.append(request.headers["Range"])
        return ask()

    shim.twists["GetObject"] = [breaks, goes_on]
    code, out = job.wants(pushed).run()
    assert code == 0, out
    assert_accepted(job, pushed)
    assert int(ranges[0].removeprefix("bytes=").rstrip("-")) <= 1_500_000


def test_a_truncated_object_is_refused(job: Job, pushed: LockedModel, shim: Shim) -> None:
    shim.twists["GetObject"].append(truncate(1_000))
    code, out = job.wants(pushed).run()
    assert code == 1
    assert f"1000 bytes where {pushed.size} are expected" in out
    assert job.holds() == []


def test_a_wrong_checksum_is_refused(job: Job, bucket: Bucket, pushed: LockedModel) -> None:
    bucket.aws.call("s3", "put_object", Bucket=bucket.name, Key=pushed.mar, Body=b"X" * pushed.size)
    code, out = job.wants(pushed).run()
    assert code == 1
    assert f"where {pushed.sha256} is expected" in out
    assert job.holds() == []


def test_an_archive_that_was_replaced_in_the_store_comes_back(
    job: Job, pushed: LockedModel
) -> None:
    job.wants(pushed).run()
    (job.store / pushed.mar).write_bytes(b"other weights")
    with pytest.raises(BadInput, match=rf"{pushed.mar}: 13 bytes where"):
        assert_accepted(job, pushed)
    code, out = job.run()
    assert (code, out.splitlines()[0]) == (0, f"{pushed.mar}: replaced: it was damaged")
    assert_accepted(job, pushed)


def test_a_name_that_says_nothing_of_the_content_is_never_overwritten(
    job: Job, push: Callable, archive: Callable[..., Archive]
) -> None:
    built = archive(b"weights", "adopted.mar")
    push(built)
    job.store.mkdir()
    (job.store / "adopted.mar").write_bytes(b"the old release's")
    code, out = job.wants(built[1]).run()
    assert code == 1
    assert "another release may need it as it is" in out
    assert (job.store / "adopted.mar").read_bytes() == b"the old release's"


def test_two_at_once_take_turns(job: Job, pushed: LockedModel, shim: Shim) -> None:
    job.wants(pushed)
    with job.start() as first, job.start() as second:
        outputs = [each.communicate(timeout=60)[0] for each in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    lines = [line for out in outputs for line in out.splitlines() if line.startswith(pushed.mar)]
    assert sorted(lines) == [f"{pushed.mar}: copied", f"{pushed.mar}: was there"]
    assert shim.calls.count("GetObject") == 1
    assert job.holds() == ["manifest.json", pushed.mar]


def test_it_waits_for_a_job_that_holds_the_store(job: Job, pushed: LockedModel, shim: Shim) -> None:
    job.store.mkdir()
    with (job.store / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = job.wants(pushed).start()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=3)
        assert "GetObject" not in shim.calls
    assert process.communicate(timeout=60)[0]
    assert process.returncode == 0


def test_a_full_disk_leaves_nothing_half_done(job: Job, pushed: LockedModel) -> None:
    """A limit on the size of files stands for the disk: the kernel refuses the write."""
    code, out = job.wants(pushed).run(
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    )
    assert code == 1
    assert "cannot be written: no larger file fits" in out
    assert job.holds() == []


def test_a_store_that_cannot_be_written(job: Job, pushed: LockedModel) -> None:
    (job.folder / "data").rmdir()
    (job.folder / "data").write_text("no folder")
    code, out = job.wants(pushed).run()
    assert code == 1
    assert "cannot be written" in out
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("AccessDenied", "most likely it was never pushed: `make models-push`"),
        ("AccessDenied", "Pod Identity role may not read it"),
        ("RequestTimeTooSkewed", "the clock of this node is off"),
        ("NoSuchKey", "harness models push"),
    ],
)
def test_a_refusal_says_what_to_do(
    job: Job, pushed: LockedModel, shim: Shim, code: str, why: str
) -> None:
    shim.refuse("GetObject", code, status=403, times=5)
    ended, out = job.wants(pushed).run()
    assert ended == 1
    assert why in out
    assert job.holds() == []


def test_what_was_never_locked_is_refused_before_anything_is_touched(job: Job) -> None:
    unset = LockedModel(version="1", mar="tiny-1-UNSET.mar", sha256="UNSET", size=0)
    code, out = job.wants(unset).run()
    assert code == 1
    assert "lock it before releasing it" in out
    assert not job.store.exists()


def test_memory_does_not_grow_with_the_archive(
    job: Job, push: Callable, archive: Callable[..., Archive]
) -> None:
    """An archive of 256 MB within 200 MB: it is never in memory as a whole."""
    content = hashlib.sha256().digest() * (8 << 20)
    built = archive(content)
    push(built)
    # VmHWM: ru_maxrss would count what this very process had when it forked.
    job.wants(built[1]).argv[1:3] = ["-c", MEASURED]
    code, out = job.run()
    assert code == 0, out
    peak = int(out.rsplit("VmHWM:", 1)[1].split()[0])  # KiB
    assert peak < 200 << 10


def _file(content: bytes) -> File:
    sha256 = hashlib.sha256(content).hexdigest()
    return File(f"m-1-{sha256[:12]}.mar", sha256, len(content))


def test_two_that_lost_the_lock_fill_one_store(tmp_path: Path) -> None:
    """After a partition an NFS server may give the lock to the next one while the first writes."""
    content = b"weights" * 1_000
    file, both = _file(content), threading.Barrier(2, timeout=10)

    def slowly(_: File) -> Iterator[bytes]:
        yield content[:1_000]
        both.wait()
        yield content[1_000:]

    filled = Store(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(filled.fill, file, slowly) for _ in range(2)]
    assert [each.result() for each in ends] == ["copied", "copied"]
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert (tmp_path / file.name).read_bytes() == content


def test_one_whose_half_file_was_swept_away_fails_and_names_nothing(tmp_path: Path) -> None:
    content = b"weights" * 1_000

    def swept(_: File) -> Iterator[bytes]:
        yield content
        with Store(tmp_path).locked(
            "the next one", 10
        ):  # the next one, with the lock that was lost
            pass

    with pytest.raises(SyncError, match="cannot be written"):
        Store(tmp_path).fill(_file(content), swept)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_another_service_that_speaks_s3_is_read(job: Job, pushed: LockedModel, scheme: str) -> None:
    endpoint = job.environment.pop("AWS_ENDPOINT_URL")
    job.environment |= {"AWS_ENDPOINT_URL_S3": endpoint, "AWS_REGION": ""}
    job.wants(pushed)
    job.argv = [word.replace("s3://", f"{scheme}://") for word in job.argv]
    assert job.run()[0] == 0
    assert job.holds() == ["manifest.json", pushed.mar]


def test_a_source_of_another_kind_is_refused(job: Job, pushed: LockedModel) -> None:
    job.wants(pushed)
    job.argv = [word.replace("s3://", "az://") for word in job.argv]
    code, out = job.run()
    assert code == 1
    assert "not s3://bucket or gs://bucket" in out
