"""An empty AWS account, a checkout with its origin, and programs that record their calls."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from harness import tools
from harness.aws import ANY, Aws
from harness.bootstrap.installation import Installation
from harness.core.pace import Pace
from harness.core.repository import Repository
from harness.settings import site
from tests.bootstrap import programs
from tests.support import aws_fixtures
from tests.support.aws_server import Shim

REGION = "us-west-2"
ACCOUNT = "123456789012"
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/moto"  # whom moto takes everybody for
CLUSTER = "torchserve-staging"
QUICK = Pace(look=0.01, patience=5)
SETTINGS = {
    "GIT_URL": "https://github.com/acme/torchserve.git",
    "ADMIN_CIDR": "198.51.100.7/32",
    "ADMIN_ROLE_ARN": ADMIN,
    "DOMAIN": "ml.example.org",
    "ACME_EMAIL": "ml@acme.dev",
    "JWT_ISSUER": "https://login.example.org",
    "JWT_JWKS_URI": "https://login.example.org/keys",
}

front, shim = aws_fixtures.front, aws_fixtures.shim


@dataclass(frozen=True)
class Fork:
    """A checkout on a branch, and the repository that is its origin."""

    repository: Repository
    origin: Path

    def git(self, *words: str) -> str:
        argv = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *words]
        return subprocess.run(
            argv, cwd=self.repository.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def merge(self) -> str:
        """Commit everything and make it main of the origin; return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A change")
        self.git("push", "--quiet", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def fill(self, **more: str) -> None:
        """Give staging what only its owner knows."""
        site.fill(self.repository, "staging", SETTINGS | more)

    def replace(self, path: str, old: str, new: str) -> None:
        file = self.repository.root / path
        text = file.read_text()
        assert old in text, f"{path} has no {old!r}"
        file.write_text(text.replace(old, new))


@pytest.fixture
def fork(checkout: Repository, tmp_path: Path) -> Fork:
    root = tmp_path / "checkout"
    keep = shutil.ignore_patterns("*.py", "*.json", "*.jpg", "*.png", "*.wav", "templates")
    for folder in ("apps", "clusters", "infra", "models", "tools/helm"):
        shutil.copytree(checkout.root / folder, root / folder, ignore=keep)
    origin = tmp_path / "origin.git"
    subprocess.run(
        ["git", "init", "--quiet", "--bare", "--initial-branch=main", origin], check=True
    )
    (root / ".gitignore").write_text("/build/\n")
    new_fork = Fork(Repository(root), origin)
    new_fork.git("init", "--quiet", "--initial-branch=work")
    new_fork.git("remote", "add", "origin", str(origin))
    new_fork.merge()
    return new_fork


@dataclass(frozen=True)
class Programs:
    """The recorders on PATH."""

    folder: Path

    def calls(self, name: str) -> list[dict[str, Any]]:
        file = self.folder / f"{name}.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def words(self, name: str) -> list[str]:
        """What a program was told to do, questions after its version left out."""
        lines = (" ".join(call["words"]) for call in self.calls(name))
        return [words for words in lines if not words.startswith(("version", "--version", "list"))]

    def say(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)


@pytest.fixture
def on_path(checkout: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("eksctl", "aws", "kubectl", "helm"):
        file = folder / name
        file.write_text(
            f"#!/bin/sh\nPYTHONPATH={checkout.root} exec {sys.executable} "
            f'-m {programs.__name__} {name} "$@"\n'
        )
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(programs.RECORDS, str(folder))
    recorders = Programs(folder)
    recorders.say("helm.version", f"v{tools.version(checkout, 'helm')}")
    return recorders


@dataclass(frozen=True)
class Network:
    vpc: str
    group: str
    subnets: tuple[str, ...]


@pytest.fixture
def empty(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> Shim:
    """An account with nothing in it but a network for eksctl to use."""
    shim.empty()

    def client(service: str) -> Any:
        return boto3.client(service, region_name=REGION, endpoint_url=shim.moto)

    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="n", Description="n", VpcId=vpc)["GroupId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("abc")
    ]
    for name in (CLUSTER, "torchserve-production"):
        shim.network[name] = (vpc, group)
    monkeypatch.setenv(programs.SUBNETS, ",".join(subnets))
    return shim


@pytest.fixture(scope="session")
def clients() -> dict[str, object]:
    """boto3's clients cost half a second each; they hold nothing but the address."""
    return {}


@pytest.fixture
def install(
    fork: Fork, empty: Shim, on_path: Programs, clients: dict[str, object]
) -> Callable[..., Installation]:
    """A new run of bootstrap: it knows nothing of the one before."""

    def install(env: str = "staging", **more: Any) -> Installation:
        return Installation(fork.repository, env, Aws(REGION, ANY, clients), pace=QUICK, **more)

    return install


def mutating(calls: list[str]) -> list[str]:
    return [name for name in calls if not name.startswith(("Describe", "Get", "Head", "List"))]
