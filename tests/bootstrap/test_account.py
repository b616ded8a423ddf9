"""Who asks, with which programs, and what only the owner knows."""

from collections.abc import Callable

import boto3
import pytest

from harness import tools
from harness.aws import ANY, Aws
from harness.bootstrap import account, foundation
from harness.bootstrap.installation import Installation
from harness.settings import site
from tests.bootstrap.fixtures import ACCOUNT, REGION, Fork, Programs
from tests.support.aws_server import Shim

Install = Callable[..., Installation]


def test_programs_that_will_do_are_named_with_their_versions(install: Install) -> None:
    installation = install()
    [change] = account.inspect_programs(installation).changes
    assert change.startswith(
        f"+ helm {tools.version(installation.repository, 'helm')}, as tools/helm pins"
    )
    account.provide(installation, lambda _: None)
    inspection = account.inspect_programs(installation)
    assert inspection.is_done
    assert inspection.lines[0].startswith("eksctl 0.230.0, kubectl 1.36.3, aws 2.31.4, helm 4.")


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("eksctl", "0.201.0", "eksctl 0.230 or newer: 0.201.0 (makes the cluster"),
        ("aws", "aws-cli/1.44.0 Python/3.12", "aws 2.0 or newer: 1.44.0 (gives kubectl"),
        ("kubectl", "Client Version: v1.30.1", "kubectl 1.35 or newer: 1.30.1"),
        ("eksctl", "no number", "eksctl 0.230 or newer: none is on PATH"),
    ],
)
def test_a_program_that_is_too_old_is_named_with_both_versions(
    install: Install, on_path: Programs, name: str, version: str, expected: str
) -> None:
    on_path.say(f"{name}.version", version)
    inspection = account.inspect_programs(install())
    assert inspection.lines[0].startswith(expected)
    assert "docs/install-eks.md" in inspection.manual


def test_programs_that_are_missing_are_named_all_at_once(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    inspection = account.inspect_programs(install())
    assert [line.split()[0] for line in inspection.lines] == ["eksctl", "kubectl", "aws"]


def test_a_caller_of_another_account_is_stopped(fork: Fork, install: Install) -> None:
    fork.fill(AWS_ACCOUNT_ID="999999999999")
    inspection = account.inspect_caller(install())
    assert "belongs to another account than 999999999999" in inspection.lines[0]
    assert f"AWS_ACCOUNT_ID={ACCOUNT}" in inspection.manual


def test_a_caller_whom_the_cluster_would_not_let_in_is_stopped(
    fork: Fork, install: Install
) -> None:
    fork.fill(ADMIN_ROLE_ARN=f"arn:aws:iam::{ACCOUNT}:role/Platform")
    inspection = account.inspect_caller(install())
    assert "the cluster lets no one else in" in inspection.lines[0]
    assert "role/Platform" in inspection.lines[0]


def assume(shim: Shim, monkeypatch: pytest.MonkeyPatch, path: str, name: str) -> str:
    """Take the credentials of a role that has a path; return its ARN."""
    role = boto3.client("iam", region_name=REGION).create_role(
        RoleName=name, Path=path, AssumeRolePolicyDocument="{}"
    )["Role"]["Arn"]
    sts = boto3.client("sts", region_name=REGION)
    keys = sts.assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", keys["SessionToken"])
    return str(role)


def test_a_role_with_a_path_is_the_role_that_sts_names_without_it(
    fork: Fork, install: Install, empty: Shim, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = install()
    role = assume(empty, monkeypatch, "/aws-reserved/sso.amazonaws.com/", "AWSReservedSSO_Admin")
    installation.aws = Aws(REGION, ANY)
    assert ":assumed-role/AWSReservedSSO_Admin/me" in installation.aws.caller.arn
    assert account.role(installation.aws) == role
    fork.fill(ADMIN_ROLE_ARN=role)
    assert account.inspect_caller(installation).is_done


def test_a_caller_who_may_not_look_at_himself_is_guessed(
    install: Install, empty: Shim, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = install()
    assume(empty, monkeypatch, "/", "Admin")
    installation.aws = Aws(REGION, ANY)
    empty.refuse("GetRole", "AccessDenied", status=403)
    assert account.role(installation.aws) == f"arn:aws:iam::{ACCOUNT}:role/Admin"


def test_what_only_the_owner_knows_is_asked_for_once_and_in_one_command(
    fork: Fork, install: Install
) -> None:
    inspection = foundation.inspect_settings(install())
    names = {line.partition(":")[0] for line in inspection.lines}
    assert names == {
        "GIT_URL", "DOMAIN", "ACME_EMAIL", "JWT_ISSUER", "JWT_JWKS_URI", "ADMIN_CIDR",
        "ADMIN_ROLE_ARN",
    }  # fmt: skip
    assert inspection.manual.startswith("harness init --env staging GIT_URL=… ")
    assert "ADMIN_ROLE_ARN=arn:aws:" in inspection.manual, "one's own, to be copied"
    assert site.SETTINGS["DOMAIN"].what in "\n".join(inspection.lines)
    fork.fill()
    assert foundation.inspect_settings(install()).is_done


def test_without_github_somebody_else_makes_the_workflows_role(
    fork: Fork, install: Install
) -> None:
    fork.fill(GIT_URL="https://gitlab.example.org/acme/torchserve.git")
    inspection = foundation.inspect_settings(install())
    assert [line.partition(":")[0] for line in inspection.lines] == ["WORKFLOW_ROLE_ARN"]
    assert "GitHubOwner" not in foundation.stack_spec(install()).parameters


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/acme/torchserve.git", "acme/torchserve"),
        ("https://github.com/acme/torchserve", "acme/torchserve"),
        ("ssh://git@github.com/acme/torch.serve.git", "acme/torch.serve"),
        ("https://github.com.evil.example/acme/torchserve", ""),
        ("https://evil.example/github.com/acme/torchserve", ""),
        ("https://gitlab.com/acme/torchserve.git", ""),
        ("UNSET", ""),
    ],
)
def test_the_repository_whose_workflows_get_roles_is_that_of_the_address(
    url: str, name: str
) -> None:
    assert foundation.github_repository(url) == name
