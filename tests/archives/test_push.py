"""Pushing archives: once, whole, and never over another content."""

from collections.abc import Callable

import pytest

from harness.archives.push import PART, Bucket
from harness.aws import AwsError
from harness.core.errors import InputError
from tests.archives.conftest import Archive
from tests.aws_server import Shim, error

LARGE = bytes(range(256)) * (PART // 256) * 2 + b"the end"


def test_what_was_pushed_is_what_was_built(
    bucket: Bucket, push: Callable, archive: Callable[..., Archive]
) -> None:
    made = archive(LARGE)
    assert push(made)
    found = bucket.aws.read("s3", "get_object", Bucket=bucket.name, Key=made[1].mar)
    assert found["Body"].read() == LARGE
    assert found["Metadata"]["sha256"] == made[1].sha256


def test_a_second_push_sends_nothing(
    push: Callable, archive: Callable[..., Archive], shim: Shim
) -> None:
    made = archive(b"weights")
    push(made)
    shim.calls.clear()
    assert not push(made)
    assert shim.calls == ["HeadObject"]


def test_a_push_that_was_cut_off_sends_only_what_is_missing(
    push: Callable, archive: Callable[..., Archive], shim: Shim
) -> None:
    made = archive(LARGE)
    shim.twists["UploadPart"] = [
        lambda _, ask: ask(),
        *[lambda request, _: error(request, 403, "ExpiredToken")],
    ]
    with pytest.raises(AwsError, match="ExpiredToken"):
        push(made)
    shim.calls.clear()
    assert push(made)
    assert shim.calls.count("UploadPart") == 2
    assert shim.calls.count("CreateMultipartUpload") == 0


def test_another_content_under_the_name_is_refused(
    bucket: Bucket, push: Callable, archive: Callable[..., Archive]
) -> None:
    made = archive(b"weights", "adopted.mar")
    bucket.aws.call("s3", "put_object", Bucket=bucket.name, Key="adopted.mar", Body=b"others")
    with pytest.raises(InputError, match=r"another content .*never overwritten"):
        push(made)


@pytest.mark.parametrize("same", [True, False], ids=["same", "other"])
def test_a_push_that_was_faster_counts_if_it_is_the_same(
    bucket: Bucket, push: Callable, archive: Callable[..., Archive], shim: Shim, same: bool
) -> None:
    made = archive(b"weights", "adopted.mar")

    def overtaken(_: object, ask: Callable):  # noqa: ANN202, RUF100
        where = {"Bucket": bucket.name, "Key": "adopted.mar"}
        sha256 = made[1].sha256 if same else "0" * 64
        bucket.aws.call("s3", "put_object", **where, Body=b"weights", Metadata={"sha256": sha256})
        return ask()

    shim.twists["CompleteMultipartUpload"].append(overtaken)
    if same:
        assert not push(made)
    else:
        with pytest.raises(InputError, match="another content"):
            push(made)


def test_an_archive_that_is_not_the_locked_one_is_refused(
    push: Callable, archive: Callable[..., Archive]
) -> None:
    path, locked = archive(b"weights")
    path.write_bytes(b"weightz")
    with pytest.raises(InputError, match="not the archive with sha256"):
        push((path, locked))
