"""What AWS may answer: passed over where it passes, one clear error where it does not."""

import socket

import pytest

from harness.aws import ANY, Aws, AwsError
from harness.core.errors import HarnessError
from harness.core.pace import Pace
from harness.efs.provision import Provision
from harness.efs.settings import Desired, Settings
from harness.efs.state import ClusterNetwork, cluster
from tests.efs.conftest import REGION, Network, count
from tests.support.aws_server import Shim


def test_throttling_passes(provision: Provision, cluster: ClusterNetwork, shim: Shim) -> None:
    shim.refuse("CreateMountTarget", "ThrottlingException", status=429)
    shim.refuse("DescribeSecurityGroups", "RequestLimitExceeded", status=503)
    assert count(provision.up(cluster)) == (1, 1, 1, 2, 2)


@pytest.mark.parametrize(
    ("operation", "code", "needs", "hint"),
    [
        ("CreateFileSystem", "FileSystemLimitExceeded", "CreateFileSystem", "Service Quotas"),
        ("CreateSecurityGroup", "SecurityGroupLimitExceeded", "ec2:CreateTags", "Service Quotas"),
        ("CreateMountTarget", "AccessDeniedException", "ec2:CreateNetworkInterface", "docs/efs.md"),
        ("CreateMountTarget", "UnsupportedAvailabilityZone", "CreateMountTarget", "not available"),
        ("DescribeFileSystems", "ExpiredTokenException", "DescribeFileSystems", "aws sso login"),
        ("DescribeSecurityGroups", "UnauthorizedOperation", "DescribeSecurity", "permission added"),
        ("DescribeFileSystems", "RequestTimeTooSkewed", "DescribeFileSystems", "clock"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_call_the_permission_and_the_next_step(
    provision: Provision, cluster: ClusterNetwork, shim: Shim,
    operation: str, code: str, needs: str, hint: str,
) -> None:  # fmt: skip
    shim.refuse(operation, code, status=403, times=3)
    with pytest.raises(AwsError) as refused:
        provision.up(cluster)
    assert f":{operation} in {REGION}" in refused.value.message
    assert needs in refused.value.message
    assert code in refused.value.message
    assert hint in refused.value.hint
    shim.reset()
    assert count(provision.up(cluster)) == (1, 1, 1, 2, 2)


def test_a_cluster_that_is_not_there(aws: Aws) -> None:
    desired = Desired("x", "Nobody", REGION, Settings(securityGroup="x"))
    with pytest.raises(AwsError, match=r"eks:DescribeCluster.*No cluster found") as refused:
        cluster(aws, desired)
    assert "name and region in clusters/<env>/eksctl.yaml" in refused.value.hint


def test_a_wrong_region_says_which_was_asked(aws: Aws, network: Network) -> None:
    desired = Desired("x", network.cluster, "eu-west-1", Settings(securityGroup="x"))
    with pytest.raises(AwsError, match="in eu-west-1"):
        cluster(Aws("eu-west-1", ANY), desired)


def test_a_zone_whose_subnet_is_gone(provision: Provision, shim: Shim) -> None:
    shim.refuse("DescribeSubnets", "InvalidSubnetID.NotFound")
    with pytest.raises(AwsError, match="ec2:DescribeSubnets") as refused:
        cluster(provision.aws, provision.desired)
    assert "deleted subnet" in refused.value.hint


def test_no_credentials(shim: Shim, provision: Provision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AwsError, match="credentials") as refused:
        cluster(Aws(REGION, ANY), provision.desired)
    assert "aws sso login" in refused.value.hint


def test_nobody_answers(provision: Provision, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound, not listening: refused, and nobody else gets it
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(AwsError) as refused:
            cluster(Aws(REGION, ANY), provision.desired)
    assert f"check the region {REGION}, and the network" in refused.value.hint


def test_patience_ends(provision: Provision, cluster: ClusterNetwork, shim: Shim) -> None:
    shim.slow = 1_000
    short = Provision(provision.aws, provision.desired, Pace(look=0.01, patience=0.2))
    with pytest.raises(HarnessError, match=r"nothing moved for 0.2 s: fs-\w+ is creating"):
        short.up(cluster)
