"""Nothing is changed, in AWS or in Git, with credentials of another account than Git names."""

import re
import shutil
from pathlib import Path

import pytest

from harness import cli
from harness.aws import AccountError, Aws
from harness.core.repository import Repository
from harness.settings import site
from tests.bootstrap.fixtures import mutating
from tests.promotion import cases
from tests.support import aws_fixtures
from tests.support.aws_server import Shim

front, shim = aws_fixtures.front, aws_fixtures.shim

REGION, MINE, OTHER = "us-west-2", "123456789012", "999999999999"
# Every verb that changes something in AWS by way of boto3.
VERBS = (
    "bootstrap destroy --env staging --yes --with-data",
    "efs apply --env staging",
    "efs destroy --env staging --yes --with-data",
    "evidence add report.json --env staging --unsigned",
    "models gc --env staging --yes",
    "models push --env staging",
    "release copy --from production --to staging --commit HEAD",
)


@pytest.fixture
def repository(checkout: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A checkout with everything filled in, as if it were installed already."""
    keep = shutil.ignore_patterns("*.py", "*.json", "*.jpg", "*.png", "*.wav")
    for folder in ("clusters", "infra", "models"):
        shutil.copytree(checkout.root / folder, tmp_path / folder, ignore=keep)
    new_repository = Repository(tmp_path)
    known = {
        "AWS_ACCOUNT_ID": OTHER,
        "EFS_FILE_SYSTEM_ID": "fs-0123456789abcdef0",
        "GIT_URL": "ssh://git@github.com/acme/torchserve.git",
        "KMS_KEY_ARN": f"arn:aws:kms:{REGION}:{OTHER}:key/0",
        "MODEL_BUCKET": "archives-of-the-other-account",
    }
    site.fill(new_repository, "staging", known)
    (tmp_path / "report.json").write_text(cases.load_report().model_dump_json())
    monkeypatch.chdir(tmp_path)
    return new_repository


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_changes_something_asks_whose_credentials_these_are(
    repository: Repository, shim: Shim, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(repository.root)
    assert cli.main(verb.split()) in (2, 3)
    stderr = capsys.readouterr().err
    assert MINE in stderr and OTHER in stderr
    assert "AWS_PROFILE" in stderr
    assert mutating(shim.calls) == []
    assert contents(repository.root) == before


@pytest.mark.parametrize("account", [OTHER, site.UNSET])
def test_no_call_that_changes_something_reaches_another_account(shim: Shim, account: str) -> None:
    aws = Aws(REGION, account)
    with pytest.raises(AccountError, match=f"account {MINE}.* in Git is {account}"):
        aws.call("s3", "create_bucket", Bucket="x")
    assert shim.calls == ["GetCallerIdentity"]
    aws.read("efs", "describe_file_systems")  # reading is allowed


@pytest.mark.parametrize(
    ("service", "operation"),
    [("cloudformation", "delete_stack"), ("s3", "put_object"), ("ecr", "batch_delete_image")],
)
def test_read_refuses_an_operation_that_may_change_something(
    shim: Shim, service: str, operation: str
) -> None:
    with pytest.raises(ValueError, match=f"{service} {operation} may change something"):
        Aws(REGION, MINE).read(service, operation)
    assert shim.calls == []


def test_aws_is_reached_with_the_account_that_git_names(checkout: Repository) -> None:
    paths = {
        str(path.relative_to(checkout.root))
        for path in (checkout.root / "harness").rglob("*.py")
        if re.search(r"(?<!`)\b(Aws\(|boto3\.client|Session\(\)\.client)", path.read_text())
    }
    # bootstrap finds the account out, on the way up; the sync Job runs in the cluster, and reads;
    # weights are read from whoever's bucket they lie in.
    assert paths - {"harness/aws.py"} == {
        "harness/bootstrap/installation.py",
        "harness/model_sync/s3.py",
        "harness/models/servers.py",
        "harness/settings/site.py",
    }


def test_who_is_asked_to_agree_is_told_which_account_and_region(
    repository: Repository, shim: Shim, capsys: pytest.CaptureFixture[str]
) -> None:
    site.fill(repository, "staging", {"AWS_ACCOUNT_ID": MINE})
    assert cli.main(["bootstrap", "destroy", "--env", "staging"]) == 2
    stderr = capsys.readouterr().err
    assert f"account {MINE}, {REGION}:" in stderr
    assert "no terminal to confirm on" in stderr
