"""The stack's parameters come from Git and the account; its outputs go where they belong."""

from collections.abc import Callable

import boto3
import pytest

from harness.bootstrap import foundation
from harness.bootstrap.installation import Installation
from harness.core.repository import Repository
from harness.settings import site
from tests.bootstrap.fixtures import ACCOUNT, REGION, SETTINGS, Fork
from tests.support.aws_server import Shim

Install = Callable[..., Installation]


def quiet(_: str) -> None:
    pass


@pytest.fixture
def installation(fork: Fork, install: Install) -> Installation:
    fork.fill()
    return install()


def test_the_outputs_are_written_into_every_place_and_nothing_else_is(
    fork: Fork, installation: Installation
) -> None:
    foundation.build(installation, quiet)
    fork.merge()
    assert foundation.inspect_values(installation).changes
    foundation.write_values(installation, quiet)
    assert foundation.inspect_values(installation).is_done
    values = installation.values()
    assert values["AWS_ACCOUNT_ID"] == ACCOUNT
    assert values["REGISTRY"] == f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/staging"
    assert values["KMS_KEY_ARN"].startswith(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/")
    changed = fork.git("diff", "--numstat").splitlines()
    assert [line.split("\t") for line in changed] == [
        ["4", "4", "clusters/staging/eksctl.yaml"],
        ["3", "3", "clusters/staging/site.yaml"],
    ]
    assert foundation.written_settings(installation) >= {
        name for name, value in values.items() if value != site.UNSET and name not in SETTINGS
    } - {"AWS_REGION", "AWS_ZONE_1", "AWS_ZONE_2", "AWS_ZONE_3", "CLUSTER_NAME"}  # by `init`


def test_roles_that_no_file_names_are_shown(installation: Installation) -> None:
    foundation.build(installation, quiet)
    shown = foundation.inspect(installation).lines
    assert any(line.startswith("for GitHub's environment: IMAGE_ROLE_ARN=arn:") for line in shown)


def test_an_identity_provider_that_is_there_is_not_made_again(
    installation: Installation, empty: Shim
) -> None:
    assert foundation.stack_spec(installation).parameters["GitHubProvider"] == "create"
    iam = boto3.client("iam", region_name=REGION, endpoint_url=empty.moto)
    iam.create_open_id_connect_provider(
        Url="https://token.actions.githubusercontent.com", ThumbprintList=["0" * 40]
    )
    assert foundation.stack_spec(installation).parameters["GitHubProvider"] == "existing"


def test_a_provider_that_the_stack_made_stays_its_own(
    installation: Installation, empty: Shim
) -> None:
    foundation.build(installation, quiet)
    iam = boto3.client("iam", region_name=REGION, endpoint_url=empty.moto)
    iam.create_open_id_connect_provider(  # moto's CloudFormation does not
        Url="https://token.actions.githubusercontent.com", ThumbprintList=["0" * 40]
    )
    assert foundation.inspect(installation).is_done


def fill(repository: Repository, env: str, **settings: str) -> None:
    site.fill(repository, env, settings)


def test_production_is_promoted_to_from_staging_once_that_is_installed(
    fork: Fork, installation: Installation, install: Install
) -> None:
    fill(fork.repository, "production", **SETTINGS)
    assert "SourceBucketArn" not in foundation.stack_spec(install("production")).parameters
    foundation.build(installation, quiet)
    foundation.write_values(installation, quiet)
    parameters = foundation.stack_spec(install("production")).parameters
    values = installation.values()
    assert parameters["SourceBucketArn"] == f"arn:aws:s3:::{values['MODEL_BUCKET']}"
    assert parameters["SourceKeyArn"] == values["KMS_KEY_ARN"]
    assert parameters["SourceRepositoryArn"] == (
        f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/staging/torchserve"
    )
    production = install("production")
    foundation.build(production, quiet)
    assert (
        "promotion"
        in dict(
            line.partition(": ")[2].split("=") for line in foundation.inspect(production).lines[1:]
        )["PROMOTION_ROLE_ARN"]
    )


def test_staging_lets_productions_account_read_once_that_is_another(
    fork: Fork, installation: Installation
) -> None:
    fill(fork.repository, "production", AWS_ACCOUNT_ID=ACCOUNT)
    assert "ReaderRoleArn" not in foundation.stack_spec(installation).parameters
    fill(fork.repository, "production", AWS_ACCOUNT_ID="999999999999")
    assert foundation.stack_spec(installation).parameters["ReaderRoleArn"] == (
        "arn:aws:iam::999999999999:role/torchserve-production-promotion"
    )
