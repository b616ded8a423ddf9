"""A VPC with a cluster in it, and environments that want a file system there."""

import itertools
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from harness.aws import ANY, Aws
from harness.core.pace import Pace
from harness.core.repository import Repository
from harness.efs import state
from harness.efs.provision import Provision
from harness.efs.settings import Desired, Settings
from harness.efs.state import ClusterNetwork, State
from harness.settings import site
from tests.support import aws_fixtures
from tests.support.aws_server import Shim

REGION = "us-west-2"

front, shim = aws_fixtures.front, aws_fixtures.shim
ROLE = "arn:aws:iam::123456789012:role/cluster"
QUICK = Pace(look=0.01, patience=5)


@pytest.fixture(scope="session")
def clients() -> dict[str, object]:
    """boto3's clients cost half a second each; they hold nothing but the address."""
    return {}


@pytest.fixture
def aws(shim: Shim, clients: dict[str, object]) -> Aws:
    return Aws(REGION, ANY, clients)


@dataclass(frozen=True)
class Network:
    """The cluster's network, with two subnets in the first of its zones."""

    cluster: str
    vpc: str
    group: str
    subnets: tuple[str, ...]


_numbers = itertools.count()


@pytest.fixture(scope="session")
def create_network(front: Shim) -> Callable[[], Network]:
    """Creates a cluster with a network of its own, so that no file system is in it yet."""

    def client(service: str):
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=front.moto,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    ec2, eks = client("ec2"), client("eks")

    def create() -> Network:
        name = f"Cluster{next(_numbers)}"
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        nodes = ec2.create_security_group(GroupName="nodes", Description="nodes", VpcId=vpc)
        subnets = [
            ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}"
            )["Subnet"]["SubnetId"]
            for number, zone in enumerate("aabc")
        ]
        network = {"subnetIds": subnets}
        eks.create_cluster(name=name, roleArn=ROLE, resourcesVpcConfig=network)
        eks.create_nodegroup(
            clusterName=name, nodegroupName="gpu", subnets=subnets[:3], nodeRole=ROLE
        )
        front.network[name] = (vpc, nodes["GroupId"])
        return Network(name, vpc, nodes["GroupId"], tuple(subnets))

    return create


@pytest.fixture(scope="session")
def network(create_network: Callable[[], Network]) -> Network:
    """The cluster of all environments that ``want`` returns."""
    return create_network()


@pytest.fixture
def want(network: Network) -> Callable[[], Desired]:
    """Another environment of the cluster: nothing of it is there yet."""

    def want() -> Desired:
        env = f"env{next(_numbers)}"
        return Desired(env, network.cluster, REGION, Settings(securityGroup=f"efs-{env}"))

    return want


@pytest.fixture
def provision(want: Callable[[], Desired], aws: Aws) -> Provision:
    return Provision(aws, want(), QUICK)


@pytest.fixture
def cluster(provision: Provision) -> ClusterNetwork:
    return state.cluster(provision.aws, provision.desired)


def count(state: State) -> tuple[int, int, int, int, int]:
    """Security groups, rules, file systems, access points, mount targets."""
    group = state.security_group
    return (
        1 if group else 0,
        len(group.rules) if group else 0,
        1 if state.file_system else 0,
        len(state.access_points),
        len(state.mount_targets),
    )


@pytest.fixture
def staging(
    tmp_path: Path, checkout: Repository, create_network: Callable[[], Network]
) -> Repository:
    """A checkout whose staging wants its file system in a cluster that has none."""
    network = create_network()
    for folder in ("models", "clusters"):
        shutil.copytree(
            checkout.root / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.py")
        )
    eksctl = tmp_path / "clusters" / "staging" / "eksctl.yaml"
    text = re.sub("(?m)^  name: .*", f"  name: {network.cluster}", eksctl.read_text())
    eksctl.write_text(text)
    repository = Repository(tmp_path)
    site.fill(repository, "staging", {"AWS_ACCOUNT_ID": "123456789012"})
    return repository
