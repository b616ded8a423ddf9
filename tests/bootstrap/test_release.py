"""What Flux will find, before Flux looks for it."""

import re
from collections.abc import Callable

import boto3
import pytest

from harness.bootstrap import release
from harness.bootstrap.installation import Installation
from harness.cli import main
from harness.core.errors import HarnessError
from harness.settings import site
from tests.bootstrap.fixtures import REGION, SETTINGS, Fork
from tests.support.aws_server import Shim

Install = Callable[..., Installation]
DIGEST = f"sha256:{'1' * 64}"
BUCKET = "acme-models"
FILES = "apps/torchserve/staging/torchserve/model-files.yaml"
CONTAINERFILE = "apps/torchserve/image/Containerfile"
IMAGE = "apps/torchserve/base/helmrelease.yaml"
REGISTRY = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/staging"
# Whatever a fork has to know, by a value of valid form.
ALL = SETTINGS | {
    "AWS_ACCOUNT_ID": "123456789012",
    "REGISTRY": REGISTRY,
    "MODEL_BUCKET": BUCKET,
    "EFS_FILE_SYSTEM_ID": "fs-0a1b2c3d4e5f60718",
    "EFS_LOADER_ACCESS_POINT_ID": "fsap-0a1b2c3d4e5f60719",
    "EFS_SERVER_ACCESS_POINT_ID": "fsap-0a1b2c3d4e5f6071a",
    "KMS_KEY_ARN": f"arn:aws:kms:{REGION}:123456789012:key/1",
    "WORKFLOW_ROLE_ARN": "arn:aws:iam::123456789012:role/workflow",
    "MODEL_SYNC_POLICY_ARN": "arn:aws:iam::123456789012:policy/model-sync",
    "SOPS_POLICY_ARN": "arn:aws:iam::123456789012:policy/sops",
}


@pytest.fixture
def filled(fork: Fork) -> Fork:
    """Everything that Flux reads of staging has a value."""
    fork.fill(**ALL)
    fork.replace(IMAGE, "digest: UNSET", f"digest: {DIGEST}")
    fork.replace(FILES, "sha256: UNSET\n    size: 0", f"sha256: {'2' * 64}\n    size: 3")
    for path in (FILES, "apps/torchserve/staging/torchserve/config.properties"):
        fork.replace(path, "UNSET.mar", "2222.mar")
    return fork


def test_an_image_that_was_never_built_is_named(fork: Fork, install: Install) -> None:
    inspection = release.inspect_image(install())
    assert inspection.lines == (f"{IMAGE} names no digest", f"{CONTAINERFILE} names no base")
    base, build = inspection.manual.splitlines()
    assert "make image-base" in base
    assert "environment `staging`" in build
    assert "make image-pin DIGEST=" in build


def test_an_image_whose_base_has_a_digest_can_be_built(fork: Fork, install: Install) -> None:
    fork.replace(CONTAINERFILE, "sha256:UNSET", DIGEST)
    inspection = release.inspect_image(install())
    assert inspection.lines == (f"{IMAGE} names no digest",)
    assert inspection.manual.startswith("run the workflow `image`")


def test_an_image_has_to_be_in_the_registry(filled: Fork, install: Install, empty: Shim) -> None:
    installation = install()
    assert release.inspect_image(installation).lines == (
        f"{REGISTRY}/torchserve@{DIGEST} not found",
    )
    ecr = boto3.client("ecr", region_name=REGION, endpoint_url=empty.moto)
    ecr.create_repository(repositoryName="staging/torchserve")
    assert "make image-pin" in release.inspect_image(installation).manual
    manifest = '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}'
    response = ecr.put_image(
        repositoryName="staging/torchserve", imageManifest=manifest, imageTag="x"
    )["image"]["imageId"]["imageDigest"]
    filled.replace(IMAGE, DIGEST, response)
    assert release.inspect_image(installation).is_done


def test_the_image_of_each_set_that_a_group_runs_has_to_be_there(
    filled: Fork, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(filled.repository.root)
    assert main(["sets", "add", "onnx-1", "magika"]) == 0
    installation = install()
    file = "apps/torchserve/sets/onnx-1/helmrelease.yaml"
    assert f"{file} names no digest" not in release.inspect_image(installation).lines
    assert main(["groups", "add", "files", "magika", "--set", "onnx-1", "--env", "staging"]) == 0
    inspection = release.inspect_image(installation)
    assert f"{file} names no digest" in inspection.lines
    assert "make image-pin SET=onnx-1 DIGEST=" in inspection.manual


def test_a_registry_elsewhere_is_not_asked(filled: Fork, install: Install) -> None:
    site.fill(filled.repository, "staging", {"REGISTRY": "registry.example.org/ml"})
    inspection = release.inspect_image(install())
    assert inspection.is_done
    assert "not checked" in inspection.lines[0]


def test_archives_have_to_be_locked_then_pushed(
    fork: Fork, filled: Fork, install: Install, empty: Shim
) -> None:
    installation = install()
    s3 = boto3.client("s3", region_name=REGION, endpoint_url=empty.moto)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    inspection = release.inspect_models(installation)
    assert len(inspection.lines) == 4
    assert inspection.lines[0].endswith(f"is not in s3://{BUCKET}")
    assert inspection.manual == "make models-push ENV=staging"
    s3.put_object(Bucket=BUCKET, Key="squeezenet1_1-1.0-2222.mar", Body=b"1234")
    assert "has 4 bytes" in "\n".join(release.inspect_models(installation).lines)


def test_an_archive_that_was_never_built_is_named(fork: Fork, install: Install) -> None:
    fork.fill(MODEL_BUCKET=BUCKET)
    inspection = release.inspect_models(install())
    assert inspection.lines == ("squeezenet1_1-1.0-UNSET.mar was never built and locked",)
    assert inspection.manual == "make lock"


def test_what_was_written_here_has_to_be_on_main(filled: Fork, install: Install) -> None:
    installation = install()
    inspection = release.inspect_main(installation)
    assert "apps/torchserve/base/helmrelease.yaml is not what main has" in inspection.lines
    assert "commit, have it reviewed and merged into main" in inspection.manual
    commit = filled.merge()
    assert release.inspect_main(installation).lines == (f"main at {commit[:12]}",)


def test_eksctls_description_has_to_be_on_main_too(filled: Fork, install: Install) -> None:
    filled.merge()
    filled.fill(ADMIN_CIDR="203.0.113.0/24")
    assert release.inspect_main(install()).lines == (
        "clusters/staging/eksctl.yaml is not what main has",
    )


def test_what_flux_does_not_read_need_not_be_on_main(filled: Fork, install: Install) -> None:
    filled.merge()
    (filled.repository.root / "clusters/production/site.yaml").write_text("another")
    (filled.repository.root / "README.md").write_text("words")
    assert release.inspect_main(install()).is_done


def test_a_main_that_went_on_has_to_be_pulled(filled: Fork, install: Install) -> None:
    commit = filled.merge()
    filled.replace("infra/policies/priorityclass.yaml", "value: ", "value: 1")
    filled.merge()
    filled.git("reset", "--quiet", "--hard", commit)
    inspection = release.inspect_main(install())
    assert inspection.lines == ("infra/policies/priorityclass.yaml is not what main has",)
    assert "git pull" in inspection.manual


def test_nothing_on_main_may_be_unset(fork: Fork, install: Install) -> None:
    fork.fill(MODEL_BUCKET=BUCKET)
    fork.merge()
    inspection = release.inspect_main(install())
    assert inspection.lines[0].startswith(f"{IMAGE}:")
    assert re.fullmatch(r"… and \d+ more", inspection.lines[-1])
    assert set(inspection.manual.splitlines()) == {
        "harness init --env staging",
        *release.inspect_image(install()).manual.splitlines(),
        "make lock",
    }


def test_production_follows_the_commit_that_it_pins(filled: Fork, install: Install) -> None:
    site.fill(filled.repository, "production", ALL)
    proven = filled.merge()
    inspection = release.inspect_main(install("production"))
    assert "clusters/production/release.yaml:14 is UNSET" in inspection.lines
    assert "make promote FROM=staging TO=production" in inspection.manual
    path = "apps/torchserve/production/torchserve/model-files.yaml"
    unset = (filled.repository.root / path).read_text()
    assert "UNSET" in unset
    filled.replace("clusters/production/release.yaml", "commit: UNSET", f"commit: {proven}")
    filled.merge()
    lines = release.inspect_main(install("production")).lines
    assert lines[0].startswith("apps/torchserve/production/torchserve/config.properties:")
    assert lines[1].startswith(path), "as the pinned commit has it"


def test_production_gets_what_staging_has_proven(filled: Fork, install: Install) -> None:
    site.fill(filled.repository, "production", ALL | {"MODEL_BUCKET": "prod-models"})
    assert release.inspect_image(install("production")).manual == (
        "make release-copy FROM=staging TO=production"
    )


def test_without_an_origin_the_error_says_what_to_look_at(fork: Fork, install: Install) -> None:
    fork.git("remote", "remove", "origin")
    with pytest.raises(HarnessError, match="main cannot be fetched") as refused:
        release.inspect_main(install())
    assert "git remote -v" in refused.value.hint
