"""infra/foundation: the key, the bucket, the registry and the roles; and their names in Git."""

import re
from collections.abc import Mapping
from pathlib import Path

from harness.bootstrap import account, stack
from harness.bootstrap.installation import UNSET, Installation
from harness.bootstrap.stack import Stack, StackSpec
from harness.bootstrap.step import Inspection
from harness.core import console
from harness.core.errors import HarnessError
from harness.efs import plan as efs
from harness.settings import gates, site

TEMPLATE = Path("infra/foundation/template.yaml")

_CLOSED = "192.0.2.0/24"  # a documentation range (RFC 5737): a fresh fork's ADMIN_CIDR
_PROVIDER = "token.actions.githubusercontent.com"
_GITHUB = re.compile(r"(?:https|ssh)://(?:[^@/]+@)?github\.com/([\w-]+/[\w.-]+?)(?:\.git)?/?")
_REGISTRY = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[^/]+/(?P<path>.+)")
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


def written_settings(installation: Installation) -> frozenset[str]:
    """Return the settings that this step and ``harness efs`` write: users need not know them."""
    names = {
        "AWS_ACCOUNT_ID", "KMS_KEY_ARN", "MODEL_BUCKET", "MODEL_SYNC_POLICY_ARN", "REGISTRY",
        "SOPS_POLICY_ARN", efs.FILE_SYSTEM, *(role.setting for role in efs.ROLES),
    }  # fmt: skip
    url = installation.value("GIT_URL")
    if url == UNSET or github_repository(url):
        names.add("WORKFLOW_ROLE_ARN")
    return frozenset(names)


def github_repository(url: str) -> str:
    """``OWNER/NAME`` of a repository on GitHub; empty for one elsewhere."""
    match = _GITHUB.fullmatch(url)
    return match[1] if match else ""


def inspect_settings(installation: Installation) -> Inspection:
    """Check the settings that only the owner knows."""
    values, known = installation.values(), written_settings(installation)
    unset = [name for name, value in values.items() if value == UNSET and name not in known]
    if values["ADMIN_CIDR"] == _CLOSED:
        unset.append("ADMIN_CIDR")
    if not unset:
        return Inspection((f"{values['GIT_URL']}, {values['DOMAIN']}, {values['ADMIN_CIDR']}",))
    you = account.role(installation.aws)
    words = " ".join(f"{name}={you if name == 'ADMIN_ROLE_ARN' else '…'}" for name in unset)
    return Inspection(
        tuple(f"{name}: {site.SETTINGS[name].what}" for name in unset),
        manual=f"harness init --env {installation.env} {words}",
    )


def inspect(installation: Installation) -> Inspection:
    """Check whether the stack matches the template."""
    spec = stack_spec(installation)
    existing, changes = stack.inspect(installation, spec)
    variables = _variables(existing) if existing else ()
    return Inspection((f"stack {spec.name}", *variables), changes)


def build(installation: Installation, update: console.Update) -> None:
    """Create or update the stack to match the template."""
    stack.change(installation.aws, stack_spec(installation), installation.pace, update)


def inspect_values(installation: Installation) -> Inspection:
    """Check whether site.yaml and eksctl.yaml have the stack's outputs."""
    changes = tuple(
        f"~ {name}: {value}" for name, value in _outdated_settings(installation).items()
    )
    return Inspection(("site.yaml and eksctl.yaml match the stack",), changes)


def write_values(installation: Installation, _: console.Update) -> None:
    """Write the stack's outputs into site.yaml and eksctl.yaml."""
    site.fill(installation.repository, installation.env, _outdated_settings(installation))


def stack_name(installation: Installation) -> str:
    """The stack of an environment."""
    return f"torchserve-{installation.env}"


def stack_spec(installation: Installation) -> StackSpec:
    """Return the stack of an environment, as Git and the account define it."""
    env, name = installation.env, stack_name(installation)
    return StackSpec(
        name=name,
        path=installation.repository.root / TEMPLATE,
        parameters={
            "Environment": env,
            "ClusterName": installation.cluster_name,
            "AdminRoleArn": installation.value("ADMIN_ROLE_ARN"),
            **_github(installation, stack.find(installation.aws, name)),
            **_source(installation),
            **_reader(installation),
        },
        tags={"environment": env, "application": "torchserve"},
    )


def _github(installation: Installation, existing: Stack | None) -> Mapping[str, str]:
    repository = github_repository(installation.value("GIT_URL"))
    if not repository:
        return {}
    if existing and existing.parameters.get("GitHubOwner"):
        provider = existing.parameters["GitHubProvider"]  # its own stays its own
    else:
        response = installation.aws.read("iam", "list_open_id_connect_providers")
        arns = [each["Arn"] for each in response["OpenIDConnectProviderList"]]
        provider = "existing" if any(arn.endswith(_PROVIDER) for arn in arns) else "create"
    owner, _, name = repository.partition("/")
    return {"GitHubOwner": owner, "GitHubName": name, "GitHubProvider": provider}


def _source(installation: Installation) -> Mapping[str, str]:
    """Where promotions to this environment come from, as far as its own installation is."""
    source = gates.sources(installation.repository).get(installation.env)
    if not source or not (installation.repository.root / "clusters" / source).is_dir():
        return {}
    values = installation.values(source)
    bucket, key, registry = (values[each] for each in ("MODEL_BUCKET", "KMS_KEY_ARN", "REGISTRY"))
    images = _REGISTRY.fullmatch(registry)
    if UNSET in (bucket, key) or not images:
        return {}
    partition = installation.aws.caller.partition
    where, path = f"{images['region']}:{images['account']}", f"{images['path']}/torchserve"
    return {
        "SourceBucketArn": f"arn:{partition}:s3:::{bucket}",
        "SourceKeyArn": key,
        "SourceRepositoryArn": f"arn:{partition}:ecr:{where}:repository/{path}",
    }


def _reader(installation: Installation) -> Mapping[str, str]:
    """Who promotes from here, where that is in another account."""
    for target, source in gates.sources(installation.repository).items():
        if (
            source == installation.env
            and (installation.repository.root / "clusters" / target).is_dir()
        ):
            asking = installation.aws.caller
            other = installation.values(target)["AWS_ACCOUNT_ID"]
            if other not in (UNSET, asking.account):
                role = f"role/torchserve-{target}-promotion"
                return {"ReaderRoleArn": f"arn:{asking.partition}:iam::{other}:{role}"}
    return {}


def _outdated_settings(installation: Installation) -> dict[str, str]:
    """Return the settings that differ from the stack's outputs, with the outputs."""
    name = stack_name(installation)
    existing = stack.find(installation.aws, name)
    if existing is None:
        raise HarnessError(f"stack {name} is gone", hint=installation.again)
    outputs = {setting(output): value for output, value in existing.outputs.items()}
    expected = {each: value for each, value in outputs.items() if each in site.SETTINGS}
    expected["AWS_ACCOUNT_ID"] = installation.aws.caller.account
    actual = installation.values()
    return {each: value for each, value in expected.items() if actual[each] != value}


def _variables(existing: Stack) -> tuple[str, ...]:
    """The roles that no file names: the workflows want them as variables."""
    variables = {setting(output): value for output, value in existing.outputs.items()}
    return tuple(
        f"for GitHub's environment: {name}={value}"
        for name, value in sorted(variables.items())
        if name not in site.SETTINGS
    )


def setting(output: str) -> str:
    """``KmsKeyArn`` → ``KMS_KEY_ARN``."""
    return _WORD.sub("_", output).upper()
