"""Pushing archives: once, whole, and never over another content."""

from collections.abc import Callable

import pytest

from harness.archives.push import PART, Bucket
from harness.aws import AwsError
from harness.core.errors import InputError
from tests.archives.conftest import Archive
from tests.support.aws_server import Shim, error

LARGE = bytes(range(256)) * (PART // 256) * 2 + b"the end"


def test_what_was_pushed_is_what_was_built(
    bucket: Bucket, push: Callable, archive: Callable[..., Archive]
) -> None:
    built = archive(LARGE)
    assert push(built)
    stored = bucket.aws.read("s3", "get_object", Bucket=bucket.name, Key=built[1].mar)
    assert stored["Body"].read() == LARGE
    assert stored["Metadata"]["sha256"] == built[1].sha256


def test_a_second_push_sends_nothing(
    push: Callable, archive: Callable[..., Archive], shim: Shim
) -> None:
    built = archive(b"weights")
    push(built)
    shim.calls.clear()
    assert not push(built)
    assert shim.calls == ["HeadObject"]


def test_a_push_that_was_cut_off_sends_only_what_is_missing(
    push: Callable, archive: Callable[..., Archive], shim: Shim
) -> None:
    built = archive(LARGE)
    shim.twists["UploadPart"] = [
        lambda _, ask: ask(),
        *[lambda request, _: error(request, 403, "ExpiredToken")],
    ]
    with pytest.raises(AwsError, match="ExpiredToken"):
        push(built)
    shim.calls.clear()
    assert push(built)
    assert shim.calls.count("UploadPart") == 2
    assert shim.calls.count("CreateMultipartUpload") == 0


def test_another_content_under_the_name_is_refused(
    bucket: Bucket, push: Callable, archive: Callable[..., Archive]
) -> None:
    built = archive(b"weights", "adopted.mar")
    bucket.aws.call("s3", "put_object", Bucket=bucket.name, Key="adopted.mar", Body=b"others")
    with pytest.raises(InputError, match=r"different content .*never overwritten"):
        push(built)


@pytest.mark.parametrize("same", [True, False], ids=["same", "other"])
def test_a_push_that_was_faster_counts_if_it_is_the_same(
    bucket: Bucket, push: Callable, archive: Callable[..., Archive], shim: Shim, same: bool
) -> None:
    built = archive(b"weights", "adopted.mar")

    def overtaken(_: object, ask: Callable):  # noqa: ANN202, RUF100
        where = {"Bucket": bucket.name, "Key": "adopted.mar"}
        sha256 = built[1].sha256 if same else "0" * 64
        bucket.aws.call("s3", "put_object", **where, Body=b"weights", Metadata={"sha256": sha256})
        return ask()

    shim.twists["CompleteMultipartUpload"].append(overtaken)
    if same:
        assert not push(built)
    else:
        with pytest.raises(InputError, match="different content"):
            push(built)


def test_an_archive_that_is_not_the_locked_one_is_refused(
    push: Callable, archive: Callable[..., Archive]
) -> None:
    path, locked = archive(b"weights")
    path.write_bytes(b"weightz")
    with pytest.raises(InputError, match="not the archive with sha256"):
        push((path, locked))
