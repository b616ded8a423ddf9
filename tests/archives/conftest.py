"""A bucket, and archives to put into it."""

import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.archives.push import Bucket
from harness.aws import ANY, Aws
from harness.core import console
from harness.models.lock import LockedModel, mar_name
from tests.archives import sync_job
from tests.support import aws_fixtures
from tests.support.aws_server import Shim

REGION = "us-west-2"

front, shim = aws_fixtures.front, aws_fixtures.shim
job, pushed = sync_job.job, sync_job.pushed

_numbers = itertools.count()


@pytest.fixture(scope="session")
def clients() -> dict[str, object]:
    return {}


@pytest.fixture
def bucket(shim: Shim, clients: dict[str, object]) -> Bucket:
    """A new bucket."""
    aws = Aws(REGION, ANY, clients)
    name = f"archives-{next(_numbers)}"
    aws.call(
        "s3",
        "create_bucket",
        Bucket=name,
        CreateBucketConfiguration={"LocationConstraint": REGION},
    )
    return Bucket(aws, name)


Archive = tuple[Path, LockedModel]


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Archive]:
    """Writes an archive of some bytes, named by its content unless told."""

    def archive(content: bytes, name: str = "") -> Archive:
        sha256 = hashlib.sha256(content).hexdigest()
        mar = name or mar_name("tiny", "1", sha256)
        path = tmp_path / "built" / mar
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path, LockedModel(version="1", mar=mar, sha256=sha256, size=len(content))

    return archive


@pytest.fixture
def push(bucket: Bucket) -> Callable[[Archive], bool]:
    """Pushes an archive; says whether it was new."""

    def push(archive: Archive) -> bool:
        with console.step(archive[1].mar) as update:
            return bucket.push(*archive, update)

    return push
