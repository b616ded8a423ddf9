"""Karpenter's stack and subnets: only where its component is listed, and no wider than it needs."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from harness.bootstrap import down, eks, karpenter, stack
from harness.bootstrap.installation import Installation
from harness.core.repository import Repository
from tests.bootstrap.fixtures import CLUSTER, REGION, Fork, mutating
from tests.bootstrap.iam import Call, allows, plain
from tests.bootstrap.programs import ROLE
from tests.support.aws_server import Shim

Install = Callable[..., Installation]
OURS, OTHERS = "ClusterName", "another-cluster"
TAG = "aws:ResourceTag/eks:eks-cluster-name"
NEW_TAG = "aws:RequestTag/eks:eks-cluster-name"


def quiet(_: str) -> None:
    pass


def list_component(fork: Fork) -> None:
    fork.replace(
        "apps/torchserve/staging/kustomization.yaml",
        "  - ../../../infra/monitoring",
        "  - ../../../infra/karpenter\n  - ../../../infra/monitoring",
    )


def tagged_subnets(shim: Shim) -> list[str]:
    """The subnets that Karpenter finds."""
    ec2 = boto3.client("ec2", region_name=REGION, endpoint_url=shim.moto)
    mine = [{"Name": f"tag:{karpenter.DISCOVERY}", "Values": [CLUSTER]}]
    return [each["SubnetId"] for each in ec2.describe_subnets(Filters=mine)["Subnets"]]


def add_subnet(shim: Shim, *, zone: str) -> str:
    """A subnet that only a node group of its own uses."""
    vpc, _ = shim.network[CLUSTER]
    ec2 = boto3.client("ec2", region_name=REGION, endpoint_url=shim.moto)
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.9.0/24", AvailabilityZone=zone)["Subnet"]
    boto3.client("eks", region_name=REGION, endpoint_url=shim.moto).create_nodegroup(
        clusterName=CLUSTER, nodegroupName="more", subnets=[subnet["SubnetId"]], nodeRole=ROLE
    )
    return str(subnet["SubnetId"])


@pytest.fixture
def installation(fork: Fork, install: Install, empty: Shim) -> Installation:
    """A cluster is there, and nothing of Karpenter's."""
    fork.fill(
        WORKFLOW_ROLE_ARN="arn:aws:iam::123456789012:role/w",
        KMS_KEY_ARN="arn:aws:kms:us-west-2:123456789012:key/1",
    )
    created = install()
    eks.build(created, quiet)
    empty.reset()
    return created


def test_nothing_is_asked_or_made_where_the_component_is_not_listed(
    installation: Installation, empty: Shim
) -> None:
    inspection = karpenter.inspect(installation)
    assert inspection.is_done
    assert inspection.lines == ("infra/karpenter is not listed",)
    assert empty.calls == []


def test_the_stack_is_made_and_the_subnets_are_found_and_then_all_is_left_alone(
    fork: Fork, installation: Installation, empty: Shim
) -> None:
    list_component(fork)
    first, second = karpenter.inspect(installation).changes
    assert first == f"+ stack {CLUSTER}-nodes"
    assert second.startswith(f"~ {karpenter.DISCOVERY} on subnet-")
    karpenter.build(installation, quiet)
    assert len(tagged_subnets(empty)) == 3
    assert karpenter.inspect(installation).is_done
    empty.reset()
    karpenter.build(installation, quiet)
    assert mutating(empty.calls) == []


def test_every_subnet_of_a_node_group_is_found_also_a_second_one_in_a_zone(
    fork: Fork, installation: Installation, empty: Shim
) -> None:
    list_component(fork)
    second = add_subnet(empty, zone=f"{REGION}a")
    empty.reset()
    (_, tags) = karpenter.inspect(installation).changes
    assert empty.calls.count("DescribeSubnets") == 1
    assert second in tags
    karpenter.build(installation, quiet)
    assert len(tagged_subnets(empty)) == 4
    assert second in tagged_subnets(empty)


def test_a_plan_shows_each_resource_and_makes_none(
    fork: Fork, installation: Installation, install: Install
) -> None:
    list_component(fork)
    changes = karpenter.inspect(install(action="plan")).changes
    assert "+ AWS::SQS::Queue Interruptions" in changes
    assert stack.find(installation.aws, f"{CLUSTER}-nodes") is None


def test_the_way_down_removes_the_stack(
    fork: Fork, installation: Installation, install: Install
) -> None:
    list_component(fork)
    karpenter.build(installation, quiet)
    going = install(action="destroy")
    assert down.inspect_nodes(going).changes == (f"- stack {CLUSTER}-nodes",)
    down.remove_nodes(going, quiet)
    assert down.inspect_nodes(going).is_done


@pytest.fixture(scope="module")
def policy(checkout: Repository) -> list[dict[str, Any]]:
    template = yaml.safe_load((checkout.root / karpenter.TEMPLATE).read_text())
    document = template["Resources"]["KarpenterPolicy"]["Properties"]["PolicyDocument"]
    statements: list[dict[str, Any]] = plain(document)["Statement"]
    return statements


def _arn(kind: str) -> str:
    return f"arn:AWS::Partition:ec2:AWS::Region:AWS::AccountId:{kind}/x"


@pytest.mark.parametrize(
    ("action", "key", "kind"),
    [
        ("ec2:TerminateInstances", TAG, "instance"),
        ("ec2:DeleteLaunchTemplate", TAG, "launch-template"),
        ("ec2:RunInstances", NEW_TAG, "instance"),
    ],
)
def test_karpenter_may_touch_the_nodes_of_its_own_cluster_and_no_others(
    policy: list[dict[str, Any]], action: str, key: str, kind: str
) -> None:
    def may(context: dict[str, str]) -> bool:
        return allows(policy, Call(action, context, _arn(kind)))

    assert may({key: OURS})
    assert not may({key: OTHERS})
    assert not may({})


def test_karpenter_may_hand_nodes_their_role_and_no_service_anything_else(
    policy: list[dict[str, Any]],
) -> None:
    to_ec2 = {"iam:PassedToService": "ec2.AWS::URLSuffix"}
    assert allows(policy, Call("iam:PassRole", to_ec2, "NodeRole.Arn"))
    assert not allows(policy, Call("iam:PassRole", to_ec2, "AdminRole.Arn"))
    assert not allows(policy, Call("iam:PassRole", {}, "NodeRole.Arn"))


def test_cfn_lint_finds_nothing(checkout: Repository) -> None:
    program = Path(sys.executable).with_name("cfn-lint")
    argv = [program, "--include-checks", "I", "--", karpenter.TEMPLATE]
    result = subprocess.run(argv, cwd=checkout.root, capture_output=True, text=True)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
