"""The way down: in an order that works, with the data only where that was asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from harness import cli
from harness.bootstrap import down, foundation, stack
from harness.bootstrap.installation import Installation
from harness.bootstrap.step import apply
from harness.core.errors import HarnessError
from harness.settings import site
from tests.bootstrap.fixtures import REGION, Fork, Programs, mutating
from tests.support.aws_crashing import CrashingAws, Killed
from tests.support.aws_server import Shim

Install = Callable[..., Installation]


def quiet(_: str) -> None:
    pass


def client(shim: Shim, service: str) -> Any:
    return boto3.client(service, region_name=REGION, endpoint_url=shim.moto)


@pytest.fixture
def built(fork: Fork, install: Install, empty: Shim) -> Installation:
    """A foundation that was in use, and whose cluster and file system are gone."""
    fork.fill()
    installation = install()
    foundation.build(installation, quiet)
    foundation.write_values(installation, quiet)
    s3, bucket = client(empty, "s3"), installation.value("MODEL_BUCKET")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for name in ("a.mar", "a.mar", "evidence/b.json"):
        s3.put_object(Bucket=bucket, Key=name, Body=name.encode())
    s3.delete_object(Bucket=bucket, Key="a.mar")
    manifest = '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}'
    client(empty, "ecr").put_image(
        repositoryName="staging/torchserve", imageManifest=manifest, imageTag="x"
    )
    empty.reset()
    return install(action="destroy")


def test_data_is_left_where_nobody_asked_for_its_end(built: Installation, empty: Shim) -> None:
    with pytest.raises(HarnessError) as stopped:
        list(apply(down.DOWN, built))
    assert "images: 1 images in staging/torchserve" in stopped.value.message
    assert "archives: 4 versions in s3://" in stopped.value.message
    assert "harness bootstrap destroy --env staging --with-data" in stopped.value.hint
    assert mutating(empty.calls) == []


def test_nothing_is_left_and_git_names_nothing_any_more(
    built: Installation, install: Install, empty: Shim
) -> None:
    bucket = built.value("MODEL_BUCKET")
    built.with_data = True
    rows = list(apply(down.DOWN, built))
    assert {row.status for row in rows} == {"done"}
    assert any(row.applied for row in rows)
    assert stack.find(built.aws, "torchserve-staging") is None
    assert client(empty, "ecr").describe_repositories()["repositories"] == []
    assert bucket not in [each["Name"] for each in client(empty, "s3").list_buckets()["Buckets"]]
    written = Path(built.repository.root / "clusters/staging/site.yaml").read_text()
    assert "MODEL_BUCKET: UNSET" in written
    assert "DOMAIN: ml.example.org" in written, "what the owner said stays"

    empty.reset()
    again = install(action="destroy")
    assert not any(row.applied for row in apply(down.DOWN, again))
    assert mutating(empty.calls) == []


def test_bucket_and_key_outlive_the_stack_and_go_too(built: Installation, empty: Shim) -> None:
    """AWS keeps them when the stack goes; moto does not."""
    s3, kms = client(empty, "s3"), client(empty, "kms")
    s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": REGION})
    key = kms.create_key()["KeyMetadata"]["Arn"]
    site.fill(built.repository, "staging", {"MODEL_BUCKET": "kept", "KMS_KEY_ARN": key})
    assert down.inspect_bucket(built).changes == ("- s3://kept",)
    down.remove_bucket(built, quiet)
    assert down.inspect_bucket(built).is_done
    assert (
        "30 days: nothing that it encrypted can be read then" in down.inspect_key(built).changes[0]
    )
    down.remove_key(built, quiet)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    assert f"{key} goes on 20" in down.inspect_key(built).lines[0]


def test_killed_after_each_single_call_the_next_run_ends_it(
    built: Installation, install: Install
) -> None:
    crashing, index, is_finished = CrashingAws(0), 0, False
    while not is_finished:
        index += 1
        installation = install(action="destroy", with_data=True)
        installation.aws = crashing.crash_after(index)
        try:
            list(apply(down.DOWN, installation))
            is_finished = True
        except Killed:
            continue
    assert index > 10
    assert not any(row.applied for row in apply(down.DOWN, install(action="destroy")))


def test_the_cluster_and_the_file_system_go_first_by_their_own_commands(
    fork: Fork, install: Install, on_path: Programs, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(fork.repository.root)
    fork.fill()
    assert cli.main(["bootstrap", "apply", "--env", "staging"]) == 3
    assert cli.main(["bootstrap", "destroy", "--env", "staging", "--yes", "--with-data"]) == 3
    hints = [line for line in capsys.readouterr().err.splitlines() if line.startswith("  → ")]
    assert hints[-3:] == [
        "  → harness efs destroy --env staging",
        "  → eksctl delete cluster -f clusters/staging/eksctl.yaml --wait",
        "  → then run again: harness bootstrap destroy --env staging",
    ]


def test_somebody_has_to_agree(
    built: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    empty: Shim,
) -> None:  # fmt: skip
    monkeypatch.chdir(built.repository.root)
    assert cli.main(["bootstrap", "destroy", "--env", "staging", "--with-data"]) == 2
    assert "- 4 versions in s3://" in capsys.readouterr().err
    assert mutating(empty.calls) == []
    assert cli.main(["bootstrap", "destroy", "--env", "staging", "--with-data", "--yes"]) == 0
    assert capsys.readouterr().out == "everything was removed\n"
