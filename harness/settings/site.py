"""A site's own values: account, addresses, roles; and every file that contains them.

    site.fill(repository, "staging", {"AWS_REGION": "eu-central-1"})

Only values change: lines, order and comments of the files stay as they are.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.aws import Aws
from harness.core import files, yamlfile
from harness.core.errors import HarnessError, InputError, Location, UsageError
from harness.core.repository import Repository
from harness.core.values import KeyPath, dig
from harness.render.site_forms import FORMS

UNSET = "UNSET"

_ARN = r"arn:aws[a-z-]*:{}:[!-~]+"
# A key and its scalar, or an item of a list: what comes before it, the value, a comment after it.
_LINE = re.compile(
    r"(?P<before>\s*(?:(?:- )?[\w.-]+: |- ))(?P<value>\"[^\"]*\"|[^#\s]+)(?P<after>.*)"
)
# What YAML takes for text without quotes: no word that it knows, no colon at the end.
_PLAIN = re.compile(r"(?i)(?!(true|false|yes|no|on|off|null)$)[a-z][\w./:@+-]*\w")


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a file."""

    file: str
    path: KeyPath


@dataclass(frozen=True, slots=True)
class Setting:
    """A value of a site: what it is, its format, and its places in an environment."""

    what: str
    pattern: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value in one place."""

    name: str
    value: str
    at: Location


def _site(name: str, what: str, *more: Place) -> tuple[str, Setting]:
    place = Place("clusters/{env}/site.yaml", ("data", name))
    return name, Setting(what, FORMS[name].pattern, (place, *more))


def _eksctl(name: str, what: str, pattern: str, *path: str | int) -> tuple[str, Setting]:
    return name, Setting(what, pattern, (Place("clusters/{env}/eksctl.yaml", path),))


_ZONES = {1: "a", 2: "b", 3: "c"}  # of a region, by default

SETTINGS: Mapping[str, Setting] = dict(
    [
        _site(
            "GIT_URL",
            "this repository's address, as the cluster reaches it",
            Place("clusters/{env}/release.yaml", ("spec", "url")),
            Place("clusters/{env}/flux-system/fluxinstance.yaml", ("spec", "sync", "url")),
            Place("clusters/{env}/flux-system/provider.yaml", ("spec", "address")),
            Place("clusters/{env}/flux-system/commit-status-provider.yaml", ("spec", "address")),
        ),
        _site("AWS_ACCOUNT_ID", "the AWS account"),
        _site(
            "AWS_REGION",
            "the AWS region; its zones a, b and c are used unless AWS_ZONE_1 to 3 name others",
            Place("clusters/{env}/eksctl.yaml", ("metadata", "region")),
        ),
        _eksctl("CLUSTER_NAME", "the cluster's name, which EKS cannot change later",
                r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", "metadata", "name"),
        *(
            _eksctl(f"AWS_ZONE_{number}", "a zone of the region that the account has",
                    r"[a-z]{2}(-[a-z]+)+-\d[a-z]", "availabilityZones", number - 1)
            for number in _ZONES
        ),
        _site("REGISTRY", "where the serving image is, without its name"),
        _site("MODEL_BUCKET", "the S3 bucket with the model archives"),
        _site("EFS_FILE_SYSTEM_ID", "the model store's file system"),
        _site("EFS_LOADER_ACCESS_POINT_ID", "through which it is filled"),
        _site("EFS_SERVER_ACCESS_POINT_ID", "through which it is read"),
        _site("DOMAIN", "torchserve.DOMAIN is the gateway"),
        _site("ACME_EMAIL", "whom the certificate authority may write to"),
        _site("JWT_ISSUER", "who signs the tokens of clients"),
        _site("JWT_JWKS_URI", "where the issuer publishes its keys"),
        _eksctl("KMS_KEY_ARN", "encrypts Kubernetes Secrets", _ARN.format("kms"),
                "secretsEncryption", "keyARN"),
        _eksctl("ADMIN_CIDR", "from where people administer the cluster", r"[\d.]+/\d+",
                "vpc", "publicAccessCIDRs", 0),
        _eksctl("ADMIN_ROLE_ARN", "the people who run the platform", _ARN.format("iam"),
                "accessConfig", "accessEntries", 0, "principalARN"),
        _eksctl("WORKFLOW_ROLE_ARN", "the workflows, which only read", _ARN.format("iam"),
                "accessConfig", "accessEntries", 1, "principalARN"),
        _eksctl("MODEL_SYNC_POLICY_ARN", "lets the sync Job read the bucket", _ARN.format("iam"),
                "iam", "podIdentityAssociations", 0, "permissionPolicyARNs", 0),
        _eksctl("SOPS_POLICY_ARN", "lets Flux decrypt secrets", _ARN.format("iam"),
                "iam", "podIdentityAssociations", 1, "permissionPolicyARNs", 0),
    ]
)  # fmt: skip


def read(repository: Repository, env: str) -> Iterator[Value]:
    """Every setting's value, in each of its places that the environment has."""
    for name, setting in SETTINGS.items():
        for place in setting.places:
            path = repository.root / place.file.format(env=env)
            if path.is_file():
                document = _document(yamlfile.read_text(path), path)
                value = dig(document.value, *place.path)
                if value is not None:
                    yield Value(name, str(value), document.at(place.path))


def values(repository: Repository, env: str) -> dict[str, str]:
    """Every setting that an environment has, by the first of its places."""
    settings: dict[str, str] = {}
    for each in read(repository, env):
        settings.setdefault(each.name, each.value)
    return settings


def aws(repository: Repository, env: str, region: str = "") -> Aws:
    """AWS as an environment knows it.

    Args:
        repository: the clone.
        env: the environment: AWS may be changed in its account alone.
        region: instead of the environment's.

    Raises:
        InputError: there is none.
    """
    settings = values(repository, env)
    region = region or settings.get("AWS_REGION", "")
    if not region:
        at = repository.cluster(env) / "site.yaml"
        raise InputError("AWS_REGION is missing", at=at, hint="write it under data")
    return Aws(region, settings.get("AWS_ACCOUNT_ID", UNSET))


def fill(repository: Repository, env: str, settings: Mapping[str, str]) -> list[Path]:
    """Write settings into each of their places.

    Returns:
        The files that changed.

    Raises:
        UsageError: unknown setting, or a value does not match the expected format.
        InputError: the environment has no place for a setting.
    """
    texts: dict[Path, str] = {}
    for name, value in settings.items():
        _validate(name, value)  # before zones are made of a region
    for name, value in {**_zones(repository, env, settings), **settings}.items():
        places = 0
        for place in SETTINGS[name].places:
            path = repository.root / place.file.format(env=env)
            if path.is_file():
                text = texts.get(path) or yamlfile.read_text(path)
                texts[path] = replace(text, path, place.path, value)
                places += 1
        if not places:
            raise InputError(f"{env} has no place for {name}")
    return [path for path, text in texts.items() if files.write(path, text)]


def _zones(repository: Repository, env: str, settings: Mapping[str, str]) -> dict[str, str]:
    """The zones of a new region; none if the present ones are of it."""
    region = settings.get("AWS_REGION", UNSET)
    first = values(repository, env).get("AWS_ZONE_1")
    if region == UNSET or first is None or first[:-1] == region:
        return {}
    return {f"AWS_ZONE_{number}": f"{region}{letter}" for number, letter in _ZONES.items()}


def _validate(name: str, value: str) -> None:
    if name not in SETTINGS:
        raise UsageError(f"unknown setting {name!r}", hint=f"one of: {', '.join(SETTINGS)}")
    if value != UNSET and not re.fullmatch(SETTINGS[name].pattern, value, re.ASCII):
        says = FORMS[name].says if name in FORMS else f"it matches {SETTINGS[name].pattern}"
        raise UsageError(f"{name} is {SETTINGS[name].what}, not {value!r}", hint=says)


def replace(text: str, path: Path, key: KeyPath, value: str) -> str:
    """``text`` with another scalar at ``key``; its lines, order and comments stay.

    Raises:
        InputError: it has no such key.
        HarnessError: the value is written in a way that cannot be edited.
    """
    document = _document(text, path)
    if key not in document.lines:
        raise InputError(f"{'.'.join(map(str, key))} is missing", at=document.at(key))
    lines = text.splitlines(keepends=True)
    number = document.lines[key] - 1
    line = _LINE.fullmatch(lines[number].rstrip("\n"))
    written = value if _PLAIN.fullmatch(value) else json.dumps(value)
    if line:
        lines[number] = f"{line['before']}{written}{line['after']}\n"
    changed = "".join(lines)
    if dig(_document(changed, path).value, *key) != value:
        raise HarnessError("is written in a way that cannot be edited", at=document.at(key))
    return changed


def _document(text: str, path: Path) -> yamlfile.Document:
    documents = yamlfile.parse(text, path)
    if len(documents) != 1:
        raise InputError(f"{len(documents)} YAML documents where one is expected", at=path)
    return documents[0]
