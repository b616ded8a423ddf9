"""eksctl.yaml: unknown keys, and what eksctl refuses only when it runs."""

import shutil
from pathlib import Path

import pytest

from harness.core.repository import Repository
from harness.render import placeholders
from harness.render.tree import Tree
from harness.schema import eksctl

PATH = "clusters/staging/eksctl.yaml"
FAULTS = {
    "unknown key": ("privateNetworking", "privateNetwroking", "unknown key; did you mean"),
    "version as a number": ('version: "1.36"', "version: 1.36", 'quote it as "1.36"'),
    "unknown log": ("audit,", "audits,", "is none of"),
    "days that CloudWatch has not": ("Days: 30", "Days: 31", "31 is none of"),
    "zone of another region": ("us-west-2a", "us-east-1a", "outside of region us-west-2"),
    "fewer than the minimum": ("desiredCapacity: 2", "desiredCapacity: 1", "does not hold"),
    "two node groups of one name": ("name: gpu", "name: system", "two node groups are called"),
    "policies by name in an addon": (
        "permissionPolicyARNs:\n          - arn:aws:iam::aws:policy/service-role",
        "wellKnownPolicies:\n          - arn:aws:iam::aws:policy/service-role",
        "wellKnownPolicies: unknown key",
    ),
    "no agent": ("  - name: eks-pod-identity-agent\n", "", "need the addon eks-pod-identity-agent"),
    "an image family that is gone": ("AmazonLinux2023", "AmazonLinux2", "is none of"),
    "taint without effect": ("effect: NoSchedule", "effect: NoScheduling", "mean NoSchedule"),
    "configuration that is not a mapping": (
        'enableNetworkPolicy: "true"',
        "enableNetworkPolicy",
        "must be a mapping",
    ),
}


def _messages(checkout: Repository, tmp_path: Path, old: str, new: str) -> list[str]:
    file = tmp_path / PATH
    file.parent.mkdir(parents=True)
    shutil.copy(checkout.root / PATH, file)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    problems, _ = eksctl.problems(Tree(tmp_path), PATH, placeholders.load())
    assert all(each.location.line for each in problems)
    return [each.message for each in problems]


@pytest.mark.parametrize(("old", "new", "expected"), FAULTS.values(), ids=FAULTS.keys())
def test_faults(checkout: Repository, tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert any(expected in each for each in _messages(checkout, tmp_path, old, new))


@pytest.mark.parametrize("env", ["staging", "production"])
def test_the_files_of_this_repository_are_valid(checkout: Repository, env: str) -> None:
    path = f"clusters/{env}/eksctl.yaml"
    problems, unset = eksctl.problems(Tree(checkout.root), path, placeholders.load())
    assert problems == []
    assert all(each.location.line for each in unset)
