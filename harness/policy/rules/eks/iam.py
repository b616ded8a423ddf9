"""IAM: roles get what their program does, and keys, buckets and roles are for nobody else."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from harness.core.problem import Problem
from harness.core.values import KeyPath, dig, items, mapping, text
from harness.core.yamlfile import Document
from harness.policy.facts.eks import clusters
from harness.policy.facts.iam import Statement, Text, Use, allows, statements, texts
from harness.policy.project import Project
from harness.policy.rule import rule

_FOUNDATION = "infra/foundation/template.yaml"
# AWS' own policies that hold for every resource of an account.
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
_BROAD = re.compile(
    r"Administrator|PowerUser|FullAccess|IAMUserChangePassword|SecretsManagerReadWrite"
    r"|^(ReadOnlyAccess|AmazonS3ReadOnlyAccess|AmazonDynamoDBReadOnlyAccess)$"
)
# What has no resource that a statement could name, or tells nothing that is secret.
_OF_EVERYTHING = (
    *("*:Describe*", "*:List*", "ecr:GetAuthorizationToken", "sts:GetCallerIdentity"),
    *("cloudwatch:PutMetricData", "ec2:Get*", "route53:GetChange", "tag:GetResources"),
)
# By which a role gets what another has, or what it likes.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html
_ESCALATES = (
    *("iam:PassRole", "sts:AssumeRole", "iam:CreateAccessKey", "iam:CreatePolicyVersion"),
    *("iam:AttachRolePolicy", "iam:AttachUserPolicy", "iam:PutRolePolicy", "iam:PutUserPolicy"),
    *("iam:SetDefaultPolicyVersion", "iam:UpdateAssumeRolePolicy", "iam:AddUserToGroup"),
)
# What the programs that get these policies ask AWS for.
_NEEDS = {
    "ModelSyncPolicy": ("s3:GetObject*", "s3:ListBucket", "kms:Decrypt"),
    "SopsPolicy": ("kms:Decrypt", "kms:DescribeKey"),
    "WorkflowRole": ("eks:Describe*", "eks:List*"),
    "FillPolicy": (
        *("s3:List*", "s3:Get*", "s3:PutObject", "s3:AbortMultipartUpload"),
        *("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*"),
    ),
}
_POLICIES: tuple[KeyPath, ...] = (
    ("iam", "podIdentityAssociations"),
    ("iam", "serviceAccounts"),
    ("managedNodeGroups",),
    ("nodeGroups",),
)
# Conditions by which a statement for everybody is for somebody.
_NARROWS = (
    *("aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths"),
    *("aws:sourcearn", "aws:sourceaccount", "aws:sourcevpc", "aws:sourcevpce", "kms:calleraccount"),
)
_WHOLE = ("", "arn:aws:s3", "arn:${AWS::Partition}:s3")
_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_TRUE = (True, "true")  # as CloudFormation takes it
_GITHUB = "token.actions.githubusercontent.com"
_CLAIMS = ("repository", "repository_id", "job_workflow_ref")


def _foundation(project: Project) -> Iterator[Statement]:
    for document in project.documents(_FOUNDATION):
        yield from statements(document)


@rule(
    "iam/least-privilege",
    why="whoever takes over the pod or the workflow has all that its role may do: other buckets, "
    "other environments, the whole account",
    fix="name the actions that the program calls, and the resources by ARN; in eksctl.yaml the "
    "policies that `harness bootstrap` makes (outputs ModelSyncPolicyArn, SopsPolicyArn)",
    references=("CIS AWS 1.16", "CIS EKS 5.2.1"),
    like=("checkov CKV_AWS_63", "checkov CKV_AWS_107"),
)
def least_privilege(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        for path, arn in _attached_policies(cluster.document):
            if _is_broad(arn):
                message = f"{arn.rpartition('/')[2]} is for every resource of the account"
                yield cluster.problem(message, *path)
    for document in project.documents(_FOUNDATION):
        for name, resource in mapping(document.value, "Resources").items():
            where: KeyPath = ("Resources", str(name), "Properties", "ManagedPolicyArns")
            for path, arn in texts(dig(resource, "Properties", "ManagedPolicyArns"), where):
                if _is_broad(arn):
                    message = f"{arn.rpartition('/')[2]} is for every resource of the account"
                    yield Problem(f"{name}: {message}", document.at(path), f"template/{name}")
    for statement in _foundation(project):
        if statement.use is Use.IDENTITY:
            yield from _excess(statement)


def _attached_policies(document: Document) -> Iterator[Text]:
    """The policies that eksctl.yaml attaches, by any of its ways."""
    places = [*_POLICIES]
    for index in range(len(items(document.value, "addons"))):
        places += [("addons", index, "podIdentityAssociations"), ("addons", index)]
    for place in places:
        value = dig(document.value, *place)
        listed = range(len(value)) if isinstance(value, list) else ()
        for at in [(*place, index) for index in listed] or [place]:
            each = dig(document.value, *at)
            for key in (
                ("permissionPolicyARNs",),
                ("attachPolicyARNs",),
                ("iam", "attachPolicyARNs"),
            ):
                yield from texts(dig(each, *key), (*at, *key))


def _is_broad(arn: str) -> bool:
    return ":aws:policy/" in arn and _BROAD.search(arn.rpartition("/")[2]) is not None


def _excess(statement: Statement) -> Iterator[Problem]:
    """What a statement of a role allows beyond what its program needs: one finding a place."""
    for key in ("NotAction", "NotResource"):
        for path, _ in statement.texts(key)[:1]:
            yield statement.problem(f"{key} allows whatever AWS will ever add", path)
    needs = _NEEDS.get(statement.owner)
    everything = [
        path for path, resource in statement.texts("Resource") if resource.strip("*:") in _WHOLE
    ]
    excess = False
    for path, action in statement.texts("Action"):
        service, _, verb = action.partition(":")
        if verb in ("", "*") and not _is_among(action, needs or ()):
            yield statement.problem(f"allows every action{f' of {service}' if verb else ''}", path)
        elif needs and not _is_among(action, needs):
            yield statement.problem(f"allows {action}, which its program does not do", path)
        elif everything and any(allows(action, each) for each in _ESCALATES):
            yield statement.problem(f"{action} of everything gives it any role's rights", path)
        else:
            continue
        excess = True
    open_to = [each for _, each in statement.texts("Action") if not _is_among(each, _OF_EVERYTHING)]
    if everything and open_to and not excess and not statement.conditions:
        yield statement.problem(f"allows {open_to[0]} of every resource", everything[0])


def _is_among(action: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(action, each) for each in patterns)


@rule(
    "iam/not-for-everybody",
    why="a key, bucket or role whose policy names everybody is used by any account of AWS; kms:* "
    "for the account's root, AWS's own default, is not such a policy: it leaves the decision to "
    "IAM",
    fix="name the principals by ARN, or say who they are by a condition on aws:PrincipalArn or "
    "aws:PrincipalOrgID; a bucket blocks public access by all four settings",
    references=("CIS AWS 2.1.4", "CIS AWS 3.8"),
    like=("checkov CKV_AWS_33", "checkov CKV_AWS_54", "cfn-lint W2507"),
)
def not_for_everybody(project: Project) -> Iterator[Problem]:
    for statement in _foundation(project):
        narrowed = set(_NARROWS) & set(statement.conditions)
        for path, principal in statement.texts("Principal"):
            if principal == "*" and not narrowed:
                yield statement.problem("is for everybody", path)
        for path, _ in statement.texts("NotPrincipal")[:1]:
            yield statement.problem("is for everybody but some", path)
    for document in project.documents(_FOUNDATION):
        for name, resource in mapping(document.value, "Resources").items():
            where: KeyPath = (
                "Resources",
                str(name),
                "Properties",
                "PublicAccessBlockConfiguration",
            )
            blocks = mapping(document.value, *where)
            is_bucket = text(resource, "Type") == "AWS::S3::Bucket"
            if is_bucket and (off := [key for key in _BLOCKS if blocks.get(key) not in _TRUE]):
                message = f"{name}: the bucket can be made public: not true is {', '.join(off)}"
                yield Problem(message, document.at((*where, off[0])), f"template/{name}")


@rule(
    "iam/trust",
    why="every repository of GitHub has tokens of the same provider: a role that does not ask for "
    "the subject is taken by a stranger's workflow",
    fix="in the role's Condition compare the token's aud and sub, and sub or repository exactly "
    "enough to name this repository",
    references=("https://docs.github.com/actions/concepts/security/openid-connect",),
    like=("checkov CKV_AWS_358",),
)
def trust(project: Project) -> Iterator[Problem]:
    for statement in _foundation(project):
        principals = " ".join(each for _, each in statement.texts("Principal"))
        if statement.use is not Use.TRUST or _GITHUB not in principals:
            continue
        compared = statement.conditions
        for claim in ("aud", "sub"):
            if f"{_GITHUB}:{claim}" not in compared:
                yield statement.problem(f"does not ask for the token's {claim}")
        exact = [each for claim in _CLAIMS for each in compared.get(f"{_GITHUB}:{claim}", ())]
        subjects = compared.get(f"{_GITHUB}:sub", [])
        for subject in subjects if not any("*" not in each for each in exact) else ():
            if re.match(r"(repo:)?\*|repo:[^/]*\*?/\*", subject):
                yield statement.problem(f"takes tokens of {subject}")
