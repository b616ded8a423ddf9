"""AWS by way of boto3: a call is data, an error is a sentence.

    aws = Aws("us-west-2", "111122223333")
    aws.call(Call("efs", "delete_access_point", {"AccessPointId": "fsap-0123456789abcdef0"}))

Endpoint, credentials and profile come from the standard variables (``AWS_ENDPOINT_URL``,
``AWS_PROFILE``, …), as for the ``aws`` command. Throttling and lost connections are tried again
by boto3; what is left is an ``AwsError`` that names the call and the permission that it needs.
Nothing is changed in another account than the one that was named.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import boto3.session
import botocore.exceptions
from botocore.config import Config

from harness.core.errors import HarnessError

Answer = Mapping[str, Any]

ANY = "any"
"""Instead of an account: whichever the credentials are of, for who finds out or only looks."""

_LOOKS = ("describe_", "get_", "head_", "list_")  # how the operations begin that change nothing
_ATTEMPTS = 8  # of one call: about a minute of throttling, with boto3's growing pauses

_PREFIX = {"efs": "elasticfilesystem"}
_ACTION = {
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
}
# What a call needs beside the permission of its own name (from the "Required permissions" of each
# call in the Amazon EFS and EC2 API references).
_ALSO = {
    "CreateFileSystem": (
        "elasticfilesystem:PutBackupPolicy",
        "elasticfilesystem:TagResource",
        "iam:CreateServiceLinkedRole",
    ),
    "CreateAccessPoint": ("elasticfilesystem:TagResource",),
    "CreateMountTarget": (
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
    ),
    "DeleteMountTarget": ("ec2:DeleteNetworkInterface",),
    "ModifyMountTargetSecurityGroups": ("ec2:ModifyNetworkInterfaceAttribute",),
    "CreateSecurityGroup": ("ec2:CreateTags",),
}
_HINTS = (
    (
        ("ExpiredToken", "UnrecognizedClient", "InvalidClientTokenId", "AuthFailure",
         "RequestExpired", "SignatureDoesNotMatch", "InvalidSignature", "InvalidAccessKeyId"),
        "log in again (`aws sso login`), or export fresh AWS_* variables",
    ),
    (("RequestTimeTooSkewed",), "set this machine's clock: AWS refuses what is 5 minutes off"),
    (("AccessDenied", "UnauthorizedOperation", "Forbidden", "403"),
     "have the permission added to your role (docs/efs.md has the whole policy)"),
    (("Throttl", "RequestLimitExceeded", "TooManyRequests", "SlowDown"),
     "AWS is asked too much at the moment: run the command again later"),
    (("LimitExceeded", "ThroughputLimit"),
     "a quota of the account: remove what is not used, or ask for more in Service Quotas"),
    (("UnsupportedAvailabilityZone",),
     "this zone has no EFS: move the node group out of it"),
    (("ResourceNotFound",),
     "make the cluster first, or correct name and region in clusters/<env>/eksctl.yaml"),
    (("InvalidSubnetID",),
     "a node group is in a subnet that is gone: make the node group anew with eksctl"),
    (("NoSuchBucket",), "is MODEL_BUCKET in site.yaml right, and the region?"),
)  # fmt: skip
_ASSUMED = re.compile(r"arn:[^:]+:sts::\d+:assumed-role/(?P<name>[^/]+)/")
_AGAIN = "run the command again: what was done stays done, and is not done twice"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the service and the operation by boto3's names, and what it is asked."""

    service: str
    operation: str
    parameters: Mapping[str, object]


class AwsError(HarnessError):
    """AWS refused a call, or could not be reached. ``code`` is AWS's; empty without an answer."""

    def __init__(self, message: str, *, code: str = "", hint: str = _AGAIN) -> None:
        self.code = code
        super().__init__(message, hint=hint)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom AWS takes us for."""

    arn: str
    account: str

    @property
    def partition(self) -> str:
        """``aws``, but in China and for governments."""
        return self.arn.split(":")[1]

    @property
    def principal(self) -> tuple[str, str]:
        """What tells one principal from another: the account, and the name without its path."""
        return self.account, self.role or self.arn.rpartition("/")[2]

    @property
    def role(self) -> str:
        """The name of the role that was assumed; empty for a user."""
        assumed = _ASSUMED.match(self.arn)
        return assumed["name"] if assumed else ""


class AccountError(HarnessError):
    """The credentials are of another account than Git names, or Git names none."""

    exit_code = 2


@dataclass
class Aws:
    """The services of one region; a client each, made when it is first used.

    Attributes:
        region: such as ``us-west-2``.
        account: 12 digits: the account in which something may be changed; or ``ANY``.
    """

    region: str
    account: str
    _clients: dict[str, Any] = field(default_factory=dict)
    # boto3's default session would keep the credentials that it found first.
    _session: boto3.session.Session = field(default_factory=boto3.session.Session)

    def call(self, call: Call) -> Answer:
        """Make one call.

        Raises:
            AccountError: it changes something, and the credentials are of another account.
            AwsError: it was refused, or there was no answer.
        """
        if not call.operation.startswith(_LOOKS):
            self.confirm_account()
        client = self.client(call.service)
        try:
            return cast("Answer", getattr(client, call.operation)(**call.parameters))
        except botocore.exceptions.ClientError as error:
            raise self._refused(call, error) from error
        except botocore.exceptions.BotoCoreError as error:
            raise self._unanswered(call, error) from error

    @cached_property
    def caller(self) -> Caller:
        """Whose credentials these are."""
        answer = self.ask("sts", "get_caller_identity")
        return Caller(answer["Arn"], answer["Account"])

    def confirm_account(self) -> None:
        """Go on only with credentials of the account that was named.

        ``call`` does it before each change; a verb also before it looks, where what is missing in
        another account would be taken for gone.

        Raises:
            AccountError: they are of another.
            AwsError: AWS does not say whose they are.
        """
        if self.account not in (ANY, self.caller.account):
            raise AccountError(
                f"these are credentials of account {self.caller.account} ({self.caller.arn}), and "
                f"AWS_ACCOUNT_ID in Git is {self.account}: nothing was changed",
                hint="take credentials of that account (AWS_PROFILE), or correct it: "
                f"harness init --env ENV AWS_ACCOUNT_ID={self.caller.account}",
            )

    @property
    def place(self) -> str:
        """Where changes are made, for a person who is to agree to them."""
        return f"account {self.caller.account}, {self.region}"

    def ask(self, service: str, operation: str, **parameters: object) -> Answer:
        """Make one call that changes nothing."""
        return self.call(Call(service, operation, parameters))

    def every(
        self, service: str, operation: str, key: str, **parameters: object
    ) -> list[dict[str, Any]]:
        """What all pages of an answer have under ``key``."""
        call = Call(service, operation, parameters)
        try:
            pages = self.client(service).get_paginator(operation).paginate(**parameters)
            return [item for page in pages for item in page.get(key, [])]
        except botocore.exceptions.ClientError as error:
            raise self._refused(call, error) from error
        except botocore.exceptions.BotoCoreError as error:
            raise self._unanswered(call, error) from error

    def client(self, service: str) -> Any:
        """boto3's client of a service, for what is no plain call: a body that is read in pieces."""
        if service not in self._clients:
            attempts = int(os.environ.get("AWS_MAX_ATTEMPTS", _ATTEMPTS))
            config = Config(
                retries={"mode": "standard", "total_max_attempts": attempts},
                connect_timeout=5,
                read_timeout=60,
            )
            try:
                self._clients[service] = self._session.client(
                    cast("Any", service), region_name=self.region, config=config
                )
            except (botocore.exceptions.BotoCoreError, ValueError) as error:
                raise AwsError(f"no client for {service} in {self.region}: {error}") from error
        return self._clients[service]

    def api_name(self, service: str, operation: str) -> str:
        """The operation as AWS's API and IAM write it: ``CreateFileSystem``."""
        return str(self.client(service).meta.method_to_api_mapping[operation])

    def permissions(self, service: str, operation: str) -> tuple[str, ...]:
        """The IAM actions that a call needs."""
        name = self.api_name(service, operation)
        own = f"{_PREFIX.get(service, service)}:{_ACTION.get(name, name)}"
        return (own, *_ALSO.get(name, ()))

    def _refused(self, call: Call, error: botocore.exceptions.ClientError) -> AwsError:
        code = str(error.response["Error"].get("Code", ""))
        said = error.response["Error"].get("Message") or "no reason given"
        hint = next((hint for words, hint in _HINTS if any(w in code for w in words)), _AGAIN)
        return AwsError(f"{self._named(call)}: {code}: {said}", code=code, hint=hint)

    def _unanswered(self, call: Call, error: botocore.exceptions.BotoCoreError) -> AwsError:
        hint = _AGAIN
        missing = (
            botocore.exceptions.NoCredentialsError,
            botocore.exceptions.PartialCredentialsError,
            botocore.exceptions.TokenRetrievalError,
            botocore.exceptions.UnauthorizedSSOTokenError,
        )
        if isinstance(error, missing):
            hint = "log in (`aws sso login`), or export the AWS_* variables of a role"
        elif isinstance(error, botocore.exceptions.EndpointConnectionError):
            hint = f"is there a region {self.region}, and a network?"
        return AwsError(f"{self._named(call)}: {error}", hint=hint)

    def _named(self, call: Call) -> str:
        needs = ", ".join(self.permissions(call.service, call.operation))
        name = f"{call.service}:{self.api_name(call.service, call.operation)}"
        return f"{name} in {self.region} (needs {needs})"
