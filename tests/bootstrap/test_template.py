"""infra/foundation: right by CloudFormation's own schemas, and no wider than each role needs."""

import fnmatch
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import site
from harness.bootstrap import foundation
from harness.core.repository import Repository

ROLES = ("ImageRole", "ModelsRole", "WorkflowRole", "PromotionRole")
TOKEN = "token.actions.githubusercontent.com"


@pytest.fixture(scope="module")
def template(checkout: Repository) -> dict[str, Any]:
    return yaml.safe_load((checkout.root / foundation.TEMPLATE).read_text())


@pytest.fixture(scope="module")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    return template["Resources"]


def plain(value: Any) -> Any:
    """Intrinsic functions as text: ``{"Fn::Sub": "${X.Arn}/*"}`` → ``X.Arn/*``."""
    if isinstance(value, dict) and len(value) == 1:
        [(name, inner)] = value.items()
        if name == "Fn::GetAtt":
            return ".".join(inner)
        if name == "Fn::Sub":
            return re.sub(r"\$\{([^}]+)\}", r"\1", inner)
        if name == "Ref":
            return inner
        if name == "Fn::If":
            return plain(inner[1])
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed(resources: dict[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """Every action that a role or a policy allows, with the resource it is allowed on."""
    properties = resources[name]["Properties"]
    documents = [each["PolicyDocument"] for each in properties.get("Policies", ())]
    if "PolicyDocument" in properties:
        documents.append(properties["PolicyDocument"])
    for policy in properties.get("ManagedPolicyArns", ()):
        yield from allowed(resources, policy["Ref"])
    for document in plain(documents):
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow"
            for action in listed(statement["Action"]):
                for resource in listed(statement["Resource"]):
                    yield action, resource


def test_cfn_lint_finds_nothing(checkout: Repository) -> None:
    program = Path(sys.executable).with_name("cfn-lint")
    argv = [program, "--include-checks", "I", "--", foundation.TEMPLATE]
    done = subprocess.run(argv, cwd=checkout.root, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_key_is_rotated_and_outlives_the_stack(resources: dict[str, Any]) -> None:
    assert resources["Key"]["Properties"]["EnableKeyRotation"] is True
    for name in ("Key", "ModelBucket", "GitHub"):
        assert resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert resources[name]["UpdateReplacePolicy"] == "Retain"


def test_only_services_get_grants_on_the_key(resources: dict[str, Any]) -> None:
    statements = plain(resources["Key"]["Properties"]["KeyPolicy"]["Statement"])
    wide = [each for each in statements if "kms:*" in listed(each["Action"])]
    [granting] = [each for each in statements if "kms:CreateGrant" in listed(each["Action"])]
    assert wide == []
    assert granting["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def test_the_bucket_is_private_versioned_encrypted_and_cheap_to_leave(
    resources: dict[str, Any],
) -> None:
    bucket = resources["ModelBucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    [rule] = plain(bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"])
    assert rule["BucketKeyEnabled"] is True
    encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "Key.Arn"}
    assert rule["ServerSideEncryptionByDefault"] == encryption
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert {"DaysAfterInitiation": 7} in [
        each.get("AbortIncompleteMultipartUpload") for each in rules
    ]
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_the_bucket_refuses_plain_text_and_overwriting(resources: dict[str, Any]) -> None:
    statements = plain(resources["ModelBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"])
    denied = {each["Sid"]: each for each in statements if each["Effect"] == "Deny"}
    assert denied["NothingInPlainText"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert set(denied["NothingInPlainText"]["Resource"]) == {"ModelBucket.Arn", "ModelBucket.Arn/*"}
    assert denied["NothingIsOverwritten"]["Condition"] == {
        "Null": {"s3:if-none-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},
    }


def test_images_are_immutable_scanned_and_encrypted(resources: dict[str, Any]) -> None:
    images = plain(resources["Images"]["Properties"])
    assert images["ImageTagMutability"] == "IMMUTABLE"
    assert images["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert images["EncryptionConfiguration"] == {"EncryptionType": "KMS", "KmsKey": "Key.Arn"}


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_for_this_repository_and_this_environment(
    resources: dict[str, Any], name: str
) -> None:
    [statement] = plain(resources[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"])
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Principal"]["Federated"].endswith(f":oidc-provider/{TOKEN}")
    assert set(statement["Condition"]) == {"StringEquals", "StringLike"}
    exact = statement["Condition"]["StringEquals"]
    assert exact[f"{TOKEN}:aud"] == "sts.amazonaws.com"
    assert exact[f"{TOKEN}:repository"] == "GitHubOwner/GitHubName"
    environments = ["Environment", "Environment-read"][: 2 if name == "WorkflowRole" else 1]
    assert listed(exact[f"{TOKEN}:environment"]) == environments


@pytest.mark.parametrize("name", ROLES)
@pytest.mark.parametrize(
    "subject",
    ["repo:GitHubOwner/GitHubName:{}", "repo:GitHubOwner@123456/GitHubName@456789:{}"],
    ids=["of old", "with numbers"],
)
def test_a_subject_is_taken_in_both_of_githubs_forms(
    resources: dict[str, Any], name: str, subject: str
) -> None:
    [statement] = plain(resources[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"])
    patterns = statement["Condition"]["StringLike"][f"{TOKEN}:sub"]

    def taken(tail: str) -> bool:
        return any(fnmatch.fnmatchcase(subject.format(tail), each) for each in patterns)

    assert taken("environment:Environment")
    assert taken("environment:Environment-read") is (name == "WorkflowRole")
    assert not taken("ref:refs/heads/main")
    assert not taken("pull_request")


MAR, EVIDENCE, OTHER = "ModelBucket.Arn/x.mar", "ModelBucket.Arn/evidence/x", "ModelBucket.Arn/x"


@pytest.mark.parametrize(
    ("name", "may", "may_not"),
    [
        (
            "ModelSyncPolicy",
            [("s3:GetObject", MAR), ("kms:Decrypt", "Key.Arn")],
            [("s3:GetObject", EVIDENCE), ("s3:PutObject", MAR), ("kms:Encrypt", "Key.Arn")],
        ),
        (
            "SopsPolicy",
            [("kms:Decrypt", "Key.Arn")],
            [("kms:Encrypt", "Key.Arn"), ("s3:GetObject", MAR)],
        ),
        (
            "ImageRole",
            [("ecr:PutImage", "Images.Arn"), ("ecr:GetAuthorizationToken", "anything")],
            [("s3:PutObject", MAR), ("ecr:BatchDeleteImage", "Images.Arn")],
        ),
        (
            "ModelsRole",
            [("s3:PutObject", MAR), ("s3:PutObject", EVIDENCE), ("kms:GenerateDataKey", "Key.Arn")],
            [("s3:PutObject", OTHER), ("s3:DeleteObject", MAR), ("ecr:PutImage", "Images.Arn")],
        ),
        (
            "WorkflowRole",
            [("eks:DescribeCluster", "anything:cluster/ClusterName"), ("s3:GetObject", EVIDENCE)],
            [("s3:GetObject", MAR), ("s3:PutObject", EVIDENCE), ("eks:UpdateClusterConfig", "x")],
        ),
        (
            "PromotionRole",
            [
                ("s3:GetObject", "SourceBucketArn/x.mar"),
                ("ecr:BatchGetImage", "SourceRepositoryArn"),
                ("ecr:PutImage", "Images.Arn"),
                ("s3:PutObject", EVIDENCE),
            ],
            [
                ("s3:PutObject", "SourceBucketArn/x.mar"),
                ("ecr:PutImage", "SourceRepositoryArn"),
                ("kms:Encrypt", "SourceKeyArn"),
                ("eks:DescribeCluster", "anything:cluster/ClusterName"),
            ],
        ),
    ],
)
def test_who_may_do_what(
    resources: dict[str, Any],
    name: str,
    may: list[tuple[str, str]],
    may_not: list[tuple[str, str]],
) -> None:
    patterns = [(a, r.rpartition("AWS::AccountId:")[2]) for a, r in allowed(resources, name)]

    def can(action: str, resource: str) -> bool:
        where = resource.removeprefix("anything:")
        return any(
            fnmatch.fnmatchcase(action, pattern) and fnmatch.fnmatchcase(where, allowed_on)
            for pattern, allowed_on in patterns
        )

    assert [each for each in may if not can(*each)] == []
    assert [each for each in may_not if can(*each)] == []


def test_what_sops_may_decrypt_is_nothing_that_a_service_encrypted(
    resources: dict[str, Any],
) -> None:
    [statement] = plain(resources["SopsPolicy"]["Properties"]["PolicyDocument"]["Statement"])
    assert statement["Condition"] == {"Null": {"kms:ViaService": "true"}}


def test_whatever_the_bucket_holds_is_decrypted_by_way_of_s3_alone(
    resources: dict[str, Any],
) -> None:
    for name in ("ModelSyncPolicy", "FillPolicy", "WorkflowRole", "PromotionRole"):
        properties = resources[name]["Properties"]
        documents = [each["PolicyDocument"] for each in properties.get("Policies", ())]
        documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        for statement in [each for found in plain(documents) for each in found["Statement"]]:
            if "kms:Decrypt" in listed(statement["Action"]):
                [how] = list(statement["Condition"].values())
                assert how["kms:ViaService"].startswith("s3.")


def test_nothing_reads_from_outside_but_the_role_that_promotes(resources: dict[str, Any]) -> None:
    for name, path in (
        ("ModelBucketPolicy", ("PolicyDocument", "Statement")),
        ("Key", ("KeyPolicy", "Statement")),
        ("Images", ("RepositoryPolicyText", "Statement")),
    ):
        found = plain(resources[name]["Properties"])
        for key in path:
            found = found[key]
        [reading] = [each for each in found if each["Sid"] == "ReadByPromotion"]
        assert reading["Condition"]["ArnEquals"] == {"aws:PrincipalArn": "ReaderRoleArn"}


def test_every_output_is_a_setting_or_a_role_of_a_workflow(template: dict[str, Any]) -> None:
    names = {foundation.setting(output) for output in template["Outputs"]}
    assert names - set(site.SETTINGS) == {"IMAGE_ROLE_ARN", "MODELS_ROLE_ARN", "PROMOTION_ROLE_ARN"}
    assert names & set(site.SETTINGS) == {
        "KMS_KEY_ARN", "MODEL_BUCKET", "MODEL_SYNC_POLICY_ARN", "REGISTRY", "SOPS_POLICY_ARN",
        "WORKFLOW_ROLE_ARN",
    }  # fmt: skip


def test_flux_reads_nothing_of_it(checkout: Repository) -> None:
    for path in checkout.root.glob("**/kustomization.yaml"):
        assert "foundation" not in path.read_text(), path
