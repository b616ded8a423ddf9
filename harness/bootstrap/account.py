"""The caller, the account, and the programs on PATH."""

import re
import shutil
from dataclasses import dataclass

from harness import tools
from harness.aws import Aws, AwsError, Caller
from harness.bootstrap.installation import UNSET, Installation
from harness.bootstrap.step import Inspection
from harness.core import command, console

_VERSION = re.compile(r"\d+(\.\d+)+")
_SECONDS = 20  # to print a version
_PAGE = 'docs/install-eks.md, "What you need"'


@dataclass(frozen=True, slots=True)
class Program:
    """A program that has to be on PATH.

    Attributes:
        asks: arguments that make it print its version.
        least: the oldest that will do.
        why: what needs it, or needs it to be so new.
    """

    name: str
    asks: tuple[str, ...]
    least: tuple[int, int]
    why: str


PROGRAMS = (
    # 0.230 is the version whose schema harness.schema.eksctl was written from.
    Program("eksctl", ("version",), (0, 230), "makes the cluster; older ones lack fields"),
    Program("kubectl", ("version", "--client"), (1, 35), "one minor version from the cluster's"),
    Program("aws", ("--version",), (2, 0), "gives kubectl and helm a token for each call"),
)


def inspect_programs(installation: Installation) -> Inspection:
    """Check the programs on PATH and their versions."""
    versions = [_version(each) for each in PROGRAMS]
    unfit = tuple(
        f"{each.name} {_join(each.least)} or newer: {version or 'none is on PATH'} ({each.why})"
        for each, version in zip(PROGRAMS, versions, strict=True)
        if _numbers(version) < each.least
    )
    if unfit:
        return Inspection(unfit, manual=f"install them ({_PAGE})")
    helm = tools.version(installation.repository, "helm")
    if not tools.is_built(installation.repository, "helm"):
        return Inspection(changes=(f"+ helm {helm}, as tools/helm pins it, into build/tools/bin",))
    names = zip((each.name for each in PROGRAMS), versions, strict=True)
    return Inspection(
        (", ".join([*(f"{name} {version}" for name, version in names), f"helm {helm}"]),)
    )


def provide(installation: Installation, _: console.Update) -> None:
    """Find or build helm."""
    tools.find(installation.repository, "helm")


def inspect_account(installation: Installation) -> Inspection:
    """Check whether the credentials belong to the account that Git names."""
    asking, account = installation.aws.caller, installation.value("AWS_ACCOUNT_ID")
    if account in (UNSET, asking.account):
        return Inspection((asking.arn,))
    return Inspection(
        (f"{asking.arn} belongs to another account than {account}",),
        manual=f"take credentials of {account} (AWS_PROFILE), or: "
        f"harness init --env {installation.env} AWS_ACCOUNT_ID={asking.account}",
    )


def inspect_caller(installation: Installation) -> Inspection:
    """Check whether the credentials belong to that account, and have access to the cluster."""
    of_account, asking = inspect_account(installation), installation.aws.caller
    admin = installation.value("ADMIN_ROLE_ARN")
    if not of_account.is_done or admin == UNSET:
        return of_account
    if Caller(admin, admin.split(":")[4]).principal != asking.principal:
        return Inspection(
            (f"{asking.arn} is not {admin}, and the cluster lets no one else in",),
            manual=f"assume that role (AWS_PROFILE), or: harness init --env {installation.env} "
            f"ADMIN_ROLE_ARN={role(installation.aws)}",
        )
    return of_account


def role(aws: Aws) -> str:
    """The ARN of the caller's role, as EKS wants it: with its path, which STS leaves out."""
    asking = aws.caller
    if not asking.role:
        return asking.arn
    try:
        return str(aws.read("iam", "get_role", RoleName=asking.role)["Role"]["Arn"])
    except AwsError:  # a role may lack the permission to read itself
        return f"arn:{asking.partition}:iam::{asking.account}:role/{asking.role}"


def _version(program: Program) -> str:
    """Return the version that a program reports, or "" if it is missing or reports none."""
    path = shutil.which(program.name)
    if path is None:
        return ""
    try:
        output = command.run([path, *program.asks], timeout=_SECONDS).stdout
    except command.CommandError:
        return ""
    match = _VERSION.search(output)
    return match[0] if match else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in version.split(".")[:2] if each)


def _join(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
