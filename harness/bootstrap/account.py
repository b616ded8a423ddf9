"""Who is asking, in which account, and with which programs."""

import re
import shutil
from dataclasses import dataclass

from harness import tools
from harness.aws import AwsError
from harness.bootstrap.installation import UNSET, Installation
from harness.bootstrap.step import Look
from harness.core import command, console

_VERSION = re.compile(r"\d+(\.\d+)+")
_SECONDS = 20  # to print a version
_PAGE = 'docs/install-eks.md, "What you need"'
_ASSUMED = re.compile(
    r"arn:(?P<partition>[^:]+):sts::(?P<account>\d+):assumed-role/(?P<name>[^/]+)/"
)


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


def look_programs(installation: Installation) -> Look:
    """Whether what is called is there, and new enough."""
    found = [_version(each) for each in PROGRAMS]
    wrong = tuple(
        f"{each.name} {_shown(each.least)} or newer: {have or 'none is on PATH'} ({each.why})"
        for each, have in zip(PROGRAMS, found, strict=True)
        if _numbers(have) < each.least
    )
    if wrong:
        return Look(wrong, person=f"install them ({_PAGE})")
    helm = tools.version(installation.repository, "helm")
    if not tools.built(installation.repository, "helm"):
        return Look(changes=(f"+ helm {helm}, as tools/helm pins it, into build/tools/bin",))
    names = zip((each.name for each in PROGRAMS), found, strict=True)
    return Look((", ".join([*(f"{name} {have}" for name, have in names), f"helm {helm}"]),))


def provide(installation: Installation, _: console.Update) -> None:
    """Find or build helm."""
    tools.find(installation.repository, "helm")


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
        assumed = _ASSUMED.match(self.arn)
        return self.account, assumed["name"] if assumed else self.arn.rpartition("/")[2]


def caller(installation: Installation) -> Caller:
    """Ask AWS who is asking.

    Raises:
        AwsError: there are no credentials, or AWS cannot be reached.
    """
    answer = installation.aws.ask("sts", "get_caller_identity")
    return Caller(answer["Arn"], answer["Account"])


def look_caller(installation: Installation) -> Look:
    """Whether these are credentials of the right account, and the cluster will let them in."""
    asking, values = caller(installation), installation.values()
    account, admin = values["AWS_ACCOUNT_ID"], values["ADMIN_ROLE_ARN"]
    init = f"harness init --env {installation.env}"
    if account not in (UNSET, asking.account):
        return Look(
            (f"{asking.arn} is of another account than {account}",),
            person=f"take credentials of {account} (AWS_PROFILE), or: "
            f"{init} AWS_ACCOUNT_ID={asking.account}",
        )
    if admin != UNSET and Caller(admin, admin.split(":")[4]).principal != asking.principal:
        return Look(
            (f"{asking.arn} is not {admin}, and the cluster lets nobody else in",),
            person=f"assume that role (AWS_PROFILE), or: "
            f"{init} ADMIN_ROLE_ARN={role(installation, asking)}",
        )
    return Look((asking.arn,))


def role(installation: Installation, asking: Caller) -> str:
    """The ARN of the caller's role, as EKS wants it: with its path, which STS leaves out."""
    assumed = _ASSUMED.match(asking.arn)
    if not assumed:
        return asking.arn
    try:
        return str(installation.aws.ask("iam", "get_role", RoleName=assumed["name"])["Role"]["Arn"])
    except AwsError:  # a role may be forbidden to look at itself
        return f"arn:{assumed['partition']}:iam::{asking.account}:role/{assumed['name']}"


def _version(program: Program) -> str:
    """What it says of itself; empty where it is missing or says nothing."""
    found = shutil.which(program.name)
    if found is None:
        return ""
    try:
        said = command.run([found, *program.asks], timeout=_SECONDS).stdout
    except command.CommandError:
        return ""
    match = _VERSION.search(said)
    return match[0] if match else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in version.split(".")[:2] if each)


def _shown(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
