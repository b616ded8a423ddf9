"""infra/foundation: right by CloudFormation's own schemas, and no wider than each role needs."""

import fnmatch
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.bootstrap import foundation
from harness.core.repository import Repository
from harness.efs import policy as efs_policy
from harness.settings import site
from tests.bootstrap.iam import Call, allows, as_list, plain
from tests.workflows.files import WORKFLOWS, Step

ROLES = ("ImageRole", "ModelsRole", "WorkflowRole", "PromotionRole")
TOKEN = "token.actions.githubusercontent.com"


@pytest.fixture(scope="module")
def template(checkout: Repository) -> dict[str, Any]:
    return yaml.safe_load((checkout.root / foundation.TEMPLATE).read_text())


@pytest.fixture(scope="module")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    return template["Resources"]


def statements(resources: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """What a role's or a managed policy's own documents say."""
    properties = resources[name]["Properties"]
    documents = [each["PolicyDocument"] for each in properties.get("Policies", ())]
    documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
    return [each for document in plain(documents) for each in document["Statement"]]


def granted_actions(resources: dict[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """Every action that a role or a policy allows, with the resource it is allowed on."""
    for policy in resources[name]["Properties"].get("ManagedPolicyArns", ()):
        yield from granted_actions(resources, policy["Ref"])
    for statement in statements(resources, name):
        assert statement["Effect"] == "Allow"
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                yield action, resource


def test_cfn_lint_finds_nothing(checkout: Repository) -> None:
    program = Path(sys.executable).with_name("cfn-lint")
    argv = [program, "--include-checks", "I", "--", foundation.TEMPLATE]
    result = subprocess.run(argv, cwd=checkout.root, capture_output=True, text=True)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_the_key_is_rotated_and_outlives_the_stack(resources: dict[str, Any]) -> None:
    assert resources["Key"]["Properties"]["EnableKeyRotation"] is True
    for name in ("Key", "ModelBucket", "GitHub"):
        assert resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert resources[name]["UpdateReplacePolicy"] == "Retain"


ADMIN, OTHER_ROLE = "AdminRoleArn", "arn:aws:iam::123456789012:role/Other"
# EKS asks for its grant with the permissions of whoever creates the cluster, and without
# kms:GrantIsForAWSResource ("not supported for the CreateCluster action": EKS user guide,
# enable-kms).
BY_EKS = {"aws:PrincipalArn": ADMIN}
BY_A_SERVICE = {"aws:PrincipalArn": OTHER_ROLE, "kms:GrantIsForAWSResource": "true"}


def key_policy(resources: dict[str, Any]) -> list[dict[str, Any]]:
    return plain(resources["Key"]["Properties"]["KeyPolicy"]["Statement"])


@pytest.mark.parametrize(
    ("who", "context", "may"),
    [
        ("EKS, for the administrator who creates the cluster", BY_EKS, True),
        ("a service, for anybody who may use the key", BY_A_SERVICE, True),
        ("anybody else, to whomever they like", {"aws:PrincipalArn": OTHER_ROLE}, False),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_who_may_take_a_grant_on_the_key(
    resources: dict[str, Any], who: str, context: dict[str, str], may: bool
) -> None:
    assert allows(key_policy(resources), Call("kms:CreateGrant", context)) is may, who


def test_whoever_creates_the_cluster_may_describe_its_key(resources: dict[str, Any]) -> None:
    # Beside CreateGrant, all that enable-kms asks for.
    assert allows(key_policy(resources), Call("kms:DescribeKey", BY_EKS))


def test_no_statement_of_the_key_gives_everything(resources: dict[str, Any]) -> None:
    assert [each for each in key_policy(resources) if "kms:*" in as_list(each["Action"])] == []


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


def trust(resources: dict[str, Any], name: str) -> dict[str, Any]:
    """The one statement that says who may take a role."""
    [statement] = plain(resources[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"])
    return statement


def exact(resources: dict[str, Any], name: str) -> dict[str, set[str]]:
    """What a role wants of each claim, and takes nothing else for."""
    claims = trust(resources, name)["Condition"]["StringEquals"]
    return {key.removeprefix(f"{TOKEN}:"): set(as_list(value)) for key, value in claims.items()}


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_for_this_repository_and_what_main_has_of_its_workflows(
    resources: dict[str, Any], name: str
) -> None:
    assert trust(resources, name)["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trust(resources, name)["Principal"]["Federated"].endswith(f":oidc-provider/{TOKEN}")
    claims = exact(resources, name)
    assert claims["aud"] == {"sts.amazonaws.com"}
    assert claims["repository"] == {"GitHubOwner/GitHubName"}
    for workflow in claims["job_workflow_ref"]:
        assert re.fullmatch(
            r"GitHubOwner/GitHubName/\.github/workflows/[a-z]+\.yaml@refs/heads/main", workflow
        )


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(ROLES, 2)))
def test_no_job_can_take_two_roles(resources: dict[str, Any], one: str, other: str) -> None:
    mine, theirs = exact(resources, one), exact(resources, other)
    assert any(mine[claim].isdisjoint(theirs[claim]) for claim in mine.keys() & theirs.keys())


def claims_of(step: Step, environment: str, subject: str) -> dict[str, str]:
    """The condition keys that the token of a step's job brings to AWS."""
    claims = {
        "aud": "sts.amazonaws.com",
        "environment": environment,
        "job_workflow_ref": f"GitHubOwner/GitHubName/.github/workflows/{step.workflow}"
        "@refs/heads/main",
        "repository": "GitHubOwner/GitHubName",
        "sub": f"repo:{subject}:environment:{environment}",
    }
    return {f"{TOKEN}:{name}": value for name, value in claims.items()}


JOBS = {(w.path.name, name): job for w in WORKFLOWS for name, job in w.jobs.items()}
TAKES = [
    (step, match[1].title().replace("_", "").removesuffix("Arn"))
    for step in (step for workflow in WORKFLOWS for step in workflow.steps())
    if (match := re.search(r"vars\.(\w+_ROLE_ARN)", step.inputs.get("role-to-assume", "")))
]


@pytest.mark.parametrize(
    "subject",
    ["GitHubOwner/GitHubName", "GitHubOwner@123456/GitHubName@456789"],
    ids=["subject of old", "subject with numbers"],
)
@pytest.mark.parametrize(("step", "role"), TAKES, ids=str)
def test_each_job_can_take_its_role_and_no_other(
    resources: dict[str, Any], step: Step, role: str, subject: str
) -> None:
    written = JOBS[step.workflow, step.job]["environment"]
    environment = "Environment-read" if written.endswith("-read") else "Environment"
    call = Call("sts:AssumeRoleWithWebIdentity", claims_of(step, environment, subject))
    assert [name for name in ROLES if allows([trust(resources, name)], call)] == [role]
    for claim in call.context:  # and each claim counts
        other = Call(call.action, call.context | {claim: "another"})
        assert not allows([trust(resources, role)], other), claim


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
            [("eks:DescribeCluster", "anything:cluster/ClusterName")],
            [("s3:GetObject", EVIDENCE), ("kms:Decrypt", "Key.Arn"), ("eks:UpdateAddon", "x")],
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
    patterns = [
        (a, r.rpartition("AWS::AccountId:")[2]) for a, r in granted_actions(resources, name)
    ]

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
    for name in ("ModelSyncPolicy", "FillPolicy", "PromotionRole"):
        for statement in statements(resources, name):
            if "kms:Decrypt" in as_list(statement["Action"]):
                [how] = list(statement["Condition"].values())
                assert how["kms:ViaService"].startswith("s3.")


def test_nothing_reads_from_outside_but_the_role_that_promotes(resources: dict[str, Any]) -> None:
    for name, path in (
        ("ModelBucketPolicy", ("PolicyDocument", "Statement")),
        ("Key", ("KeyPolicy", "Statement")),
        ("Images", ("RepositoryPolicyText", "Statement")),
    ):
        properties = plain(resources[name]["Properties"])
        for key in path:
            properties = properties[key]
        [reading] = [each for each in properties if each["Sid"] == "ReadByPromotion"]
        assert reading["Condition"]["ArnEquals"] == {"aws:PrincipalArn": "ReaderRoleArn"}


BY_S3 = {"kms:ViaService": "s3.AWS::Region.AWS::URLSuffix"}
BY_LOADER = {
    "aws:SecureTransport": "true",
    "elasticfilesystem:AccessedViaMountTarget": "true",
    "elasticfilesystem:AccessPointArn": "loader",
}
# Each call that a statement with a condition is meant for, with the keys that it really carries.
# S3's bucket keys make the bucket the encryption context (S3 user guide, bucket-key); GetObject and
# PutObject reach KMS by way of S3; SOPS asks KMS itself; the EFS driver mounts without an identity
# (EFS user guide, iam-access-control-nfs-efs).
MEANT = [
    ("ModelSyncPolicy", Call("kms:Decrypt", {
        **BY_S3, "kms:EncryptionContext:aws:s3:arn": "ModelBucket.Arn"}, "Key.Arn")),
    ("SopsPolicy", Call("kms:Decrypt", {}, "Key.Arn")),
    ("FillPolicy", Call("kms:GenerateDataKey", BY_S3, "Key.Arn")),
    ("FillPolicy", Call("kms:Decrypt", BY_S3, "Key.Arn")),
    ("PromotionRole", Call("kms:Decrypt", {
        "kms:ViaService": "s3.eu-central-1.AWS::URLSuffix"}, "SourceKeyArn")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "call"), MEANT, ids=str)
def test_a_condition_lets_the_call_through_that_it_is_for(
    resources: dict[str, Any], name: str, call: Call
) -> None:
    assert allows(statements(resources, name), call)


def test_every_condition_of_a_policy_is_asked_above(resources: dict[str, Any]) -> None:
    conditional = {
        (name, action)
        for name, resource in resources.items()
        if resource["Type"] in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy")
        for statement in statements(resources, name)
        if "Condition" in statement
        for action in as_list(statement["Action"])
    }
    assert conditional == {(name, call.action) for name, call in MEANT}


def test_the_promotion_role_of_another_account_gets_what_it_reads(
    resources: dict[str, Any],
) -> None:
    reader = {"aws:PrincipalArn": "ReaderRoleArn"}
    by_s3 = {**reader, **BY_S3}
    assert allows(key_policy(resources), Call("kms:Decrypt", by_s3))
    bucket = plain(resources["ModelBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"])
    secure = {**reader, "aws:SecureTransport": "true"}
    assert allows(bucket, Call("s3:GetObject", secure, "ModelBucket.Arn/x.mar"))
    assert allows(bucket, Call("s3:ListBucket", secure, "ModelBucket.Arn"))
    images = plain(resources["Images"]["Properties"])["RepositoryPolicyText"]
    assert allows(images["Statement"], Call("ecr:BatchGetImage", reader))


def test_the_file_system_lets_its_two_mounts_in_and_one_of_them_write() -> None:
    policy = efs_policy.document("fs", "loader", "server")["Statement"]
    by_server = {**BY_LOADER, "elasticfilesystem:AccessPointArn": "server"}
    mount, write = "elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"
    requests = [(mount, BY_LOADER), (write, BY_LOADER), (mount, by_server), (write, by_server)]
    may = [allows(policy, Call(action, context, "fs")) for action, context in requests]
    assert may == [True, True, True, False]
    in_plain_text = {**BY_LOADER, "aws:SecureTransport": "false"}
    assert not allows(policy, Call(mount, in_plain_text, "fs"))


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
