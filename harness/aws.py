"""AWS through boto3: reading and changing are two functions, an error is a sentence.

    aws = Aws("us-west-2", "111122223333")
    systems = aws.list_all("efs", "describe_file_systems", "FileSystems")
    aws.call("efs", "delete_file_system", FileSystemId=systems[0]["FileSystemId"])

Endpoint, credentials and profile come from the standard variables (``AWS_ENDPOINT_URL``,
``AWS_PROFILE``, …), as for the ``aws`` command. Throttling and lost connections are tried again
by boto3; any other failure is an ``AwsError`` that names the call and the permission that it needs.
Nothing is changed in any account but the one that was named.
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
"""Instead of an account: whichever the credentials belong to, for code that only reads."""

_READS = ("describe_", "get_", "head_", "list_")  # how operations begin that change nothing
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
# What a call needs besides the permission of its own name (from the "Required permissions" of each
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
    (("RequestTimeTooSkewed",), "correct this machine's clock: it is more than 5 minutes off"),
    (("AccessDenied", "UnauthorizedOperation", "Forbidden", "403"),
     "have the permission added to your role (docs/efs.md has the whole policy)"),
    (("Throttl", "RequestLimitExceeded", "TooManyRequests", "SlowDown"),
     "AWS is throttling requests: run the command again later"),
    (("LimitExceeded", "ThroughputLimit"),
     "a quota of the account: delete unused resources, or request an increase in Service Quotas"),
    (("UnsupportedAvailabilityZone",),
     "EFS is not available in this zone: move the node group to another"),
    (("ResourceNotFound",),
     "create the cluster first, or correct name and region in clusters/<env>/eksctl.yaml"),
    (("InvalidSubnetID",),
     "a node group is in a deleted subnet: recreate the node group with eksctl"),
    (("NoSuchBucket",), "is MODEL_BUCKET in site.yaml right, and the region?"),
)  # fmt: skip
_ASSUMED = re.compile(r"arn:[^:]+:sts::\d+:assumed-role/(?P<name>[^/]+)/")
_AGAIN = "run the command again: it goes on where it stopped"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the service and the operation by boto3's names, and its parameters."""

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
    """The identity behind the credentials."""

    arn: str
    account: str

    @property
    def partition(self) -> str:
        """``aws``, except in China and for governments."""
        return self.arn.split(":")[1]

    @property
    def principal(self) -> tuple[str, str]:
        """What identifies a principal: the account, and the name without its path."""
        return self.account, self.role or self.arn.rpartition("/")[2]

    @property
    def role(self) -> str:
        """The name of the role that was assumed; empty for a user."""
        assumed = _ASSUMED.match(self.arn)
        return assumed["name"] if assumed else ""


class AccountError(HarnessError):
    """The credentials belong to another account than the one in Git, or Git names none."""

    exit_code = 2


@dataclass
class Aws:
    """The services of one region; each client is created on first use.

    Attributes:
        region: such as ``us-west-2``.
        account: 12 digits: the account in which something may be changed; or ``ANY``.
    """

    region: str
    account: str
    _clients: dict[str, Any] = field(default_factory=dict)
    # boto3's default session would keep the credentials that it found first.
    _session: boto3.session.Session = field(default_factory=boto3.session.Session)

    def read(self, service: str, operation: str, **parameters: object) -> Answer:
        """Make one call that changes nothing.

        Raises:
            ValueError: the operation is not one that describes, gets, heads or lists.
            AwsError: it was refused, or there was no answer.
        """
        if not operation.startswith(_READS):
            raise ValueError(f"{service} {operation} may change something: use call()")
        return self._send(Call(service, operation, parameters))

    def call(self, service: str, operation: str, **parameters: object) -> Answer:
        """Make one call that may change something.

        Raises:
            AccountError: the credentials are of another account.
            AwsError: it was refused, or there was no answer.
        """
        self.confirm_account()
        return self._send(Call(service, operation, parameters))

    def _send(self, call: Call) -> Answer:
        client = self.client(call.service)
        try:
            return cast("Answer", getattr(client, call.operation)(**call.parameters))
        except botocore.exceptions.ClientError as error:
            raise self._refusal(call, error) from error
        except botocore.exceptions.BotoCoreError as error:
            raise self._no_response(call, error) from error

    @cached_property
    def caller(self) -> Caller:
        """The identity behind the credentials."""
        answer = self.read("sts", "get_caller_identity")
        return Caller(answer["Arn"], answer["Account"])

    def confirm_account(self) -> None:
        """Check that the credentials belong to the account that was named.

        ``call`` does it before each change; a command also before it reads, where resources that
        another account lacks would be taken for deleted.

        Raises:
            AccountError: they belong to another.
            AwsError: AWS does not report whose they are.
        """
        if self.account not in (ANY, self.caller.account):
            raise AccountError(
                f"these credentials belong to account {self.caller.account} ({self.caller.arn}), "
                f"and AWS_ACCOUNT_ID in Git is {self.account}: nothing was changed",
                hint="take credentials of that account (AWS_PROFILE), or correct it: "
                f"harness init --env ENV AWS_ACCOUNT_ID={self.caller.account}",
            )

    @property
    def place(self) -> str:
        """Where changes are made, for a person who has to confirm them."""
        return f"account {self.caller.account}, {self.region}"

    def list_all(
        self, service: str, operation: str, key: str, **parameters: object
    ) -> list[dict[str, Any]]:
        """Return the items that all pages of a response have under ``key``."""
        call = Call(service, operation, parameters)
        try:
            pages = self.client(service).get_paginator(operation).paginate(**parameters)
            return [item for page in pages for item in page.get(key, [])]
        except botocore.exceptions.ClientError as error:
            raise self._refusal(call, error) from error
        except botocore.exceptions.BotoCoreError as error:
            raise self._no_response(call, error) from error

    def client(self, service: str) -> Any:
        """boto3's client of a service, for more than a plain call: a body read in chunks."""
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
        action = f"{_PREFIX.get(service, service)}:{_ACTION.get(name, name)}"
        return (action, *_ALSO.get(name, ()))

    def _refusal(self, call: Call, error: botocore.exceptions.ClientError) -> AwsError:
        code = str(error.response["Error"].get("Code", ""))
        message = error.response["Error"].get("Message") or "no reason given"
        hint = next((hint for words, hint in _HINTS if any(w in code for w in words)), _AGAIN)
        return AwsError(f"{self._describe(call)}: {code}: {message}", code=code, hint=hint)

    def _no_response(self, call: Call, error: botocore.exceptions.BotoCoreError) -> AwsError:
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
            hint = f"check the region {self.region}, and the network"
        return AwsError(f"{self._describe(call)}: {error}", hint=hint)

    def _describe(self, call: Call) -> str:
        needs = ", ".join(self.permissions(call.service, call.operation))
        name = f"{call.service}:{self.api_name(call.service, call.operation)}"
        return f"{name} in {self.region} (needs {needs})"
