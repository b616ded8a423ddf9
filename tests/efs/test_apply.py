"""What apply makes, once, and that it repairs what drifted."""

import json
from collections.abc import Callable

import pytest

from harness.core.errors import InputError
from harness.efs import plan, policy
from harness.efs.provision import Provision
from harness.efs.settings import Desired
from harness.efs.state import ClusterNetwork, collect
from tests.efs.conftest import Network, count
from tests.support.aws_server import Shim

WHOLE = (1, 1, 1, 2, 2)
READS = ("Describe", "List", "Get")


def mutating(calls: list[str]) -> list[str]:
    return [name for name in calls if not name.startswith(READS)]


def test_an_empty_account_gets_one_of_everything(
    provision: Provision, cluster: ClusterNetwork, network: Network
) -> None:
    created = provision.up(cluster)
    assert count(created) == WHOLE
    assert created.file_system
    assert created.security_group
    assert (created.file_system.encrypted, created.file_system.throughput) == (True, "elastic")
    assert created.file_system.backup
    [rule] = created.security_group.rules
    assert str(rule) == f"2049/tcp from {network.group}"
    assert {target.zone for target in created.mount_targets} == {"us-west-2a", "us-west-2b"}
    assert {target.security_groups for target in created.mount_targets} == {
        (created.security_group.id,)
    }


def test_a_second_apply_changes_nothing(
    provision: Provision, cluster: ClusterNetwork, shim: Shim
) -> None:
    first = provision.up(cluster)
    shim.calls.clear()
    assert provision.up(cluster) == first
    assert shim.calls
    assert mutating(shim.calls) == []


def test_the_policy_stands_before_anyone_can_mount(
    provision: Provision, cluster: ClusterNetwork, shim: Shim
) -> None:
    provision.up(cluster)
    assert shim.calls.index("PutFileSystemPolicy") < shim.calls.index("CreateMountTarget")


def test_the_access_points_are_folders_of_the_loader(
    provision: Provision, cluster: ClusterNetwork
) -> None:
    created = provision.up(cluster)
    token = provision.desired.token
    owner = {"OwnerUid": 1000, "OwnerGid": 1000, "Permissions": "0755"}
    loader, server = (created.access_points[f"{token}-{role}"] for role in ("loader", "server"))
    assert (loader.user, loader.root) == (
        {"Uid": 1000, "Gid": 1000},
        {"Path": "/data", "CreationInfo": owner},
    )
    assert (server.user, server.root) == (
        {"Uid": 1001, "Gid": 1001},
        {"Path": "/data/model_store", "CreationInfo": owner},
    )


def test_it_waits_while_aws_is_still_making_things(
    provision: Provision, cluster: ClusterNetwork, shim: Shim
) -> None:
    shim.slow = 3
    created = provision.up(cluster)
    assert count(created) == WHOLE
    assert {part.state for part in created.parts} == {"available"}


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("efs", "put_file_system_policy", {"Policy": '{"Version": "2012-10-17"}'}),
        ("efs", "put_backup_policy", {"BackupPolicy": {"Status": "DISABLED"}}),
        ("efs", "update_file_system", {"ThroughputMode": "bursting"}),
    ],
    ids=["policy", "backups", "throughput"],
)
def test_drift_of_the_file_system_is_repaired(
    provision: Provision, cluster: ClusterNetwork, service: str, operation: str, parameters: dict
) -> None:
    right = provision.up(cluster)
    assert right.file_system
    provision.aws.call(service, operation, FileSystemId=right.file_system.id, **parameters)
    current = collect(provision.aws, provision.desired, cluster.vpc)
    assert len(plan.converge(provision.desired, cluster, current)) == 1
    assert Provision(provision.aws, provision.desired, provision.pace).up(cluster) == right


def test_a_way_in_that_somebody_opened_is_closed(
    provision: Provision, cluster: ClusterNetwork
) -> None:
    right = provision.up(cluster)
    assert right.security_group
    open_to_all = {
        "IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    }  # fmt: skip
    provision.aws.call(
        "ec2",
        "authorize_security_group_ingress",
        GroupId=right.security_group.id,
        IpPermissions=[open_to_all],
    )
    current = collect(provision.aws, provision.desired, cluster.vpc)
    [change] = plan.converge(provision.desired, cluster, current)
    assert change.text == "- 2049/tcp from 0.0.0.0/0"
    assert provision.up(cluster) == right


def test_a_mount_target_with_another_group_gets_the_right_one(
    provision: Provision, cluster: ClusterNetwork
) -> None:
    right = provision.up(cluster)
    provision.aws.call(
        "efs",
        "modify_mount_target_security_groups",
        MountTargetId=right.mount_targets[0].id,
        SecurityGroups=[cluster.security_group],
    )
    assert provision.up(cluster) == right


def test_an_access_point_that_is_another_folder_is_left_to_a_person(
    provision: Provision, cluster: ClusterNetwork, want: Callable[[], Desired]
) -> None:
    created = provision.up(cluster)
    assert created.file_system
    [loader] = [p for p in created.access_points.values() if p.token.endswith("-loader")]
    provision.aws.call("efs", "delete_access_point", AccessPointId=loader.id)
    provision.aws.call(
        "efs",
        "create_access_point",
        ClientToken=loader.token,
        FileSystemId=created.file_system.id,
        RootDirectory={"Path": "/elsewhere"},
    )
    with pytest.raises(InputError, match=r"the loader's access point, is .*/elsewhere.*remove it"):
        provision.up(cluster)


def test_the_policy_word_for_word() -> None:
    """Allow first: a policy that only denies locks everyone out."""
    allow = {
        "aws:SecureTransport": "true",
        "elasticfilesystem:AccessedViaMountTarget": "true",
    }
    everyone = {"AWS": "*"}
    arn = "elasticfilesystem:AccessPointArn"
    assert json.loads(json.dumps(policy.document("fs", "loader", "server"))) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "MountThroughTheAccessPoints",
                "Effect": "Allow",
                "Principal": everyone,
                "Action": "elasticfilesystem:ClientMount",
                "Resource": "fs",
                "Condition": {"Bool": allow, "StringEquals": {arn: ["loader", "server"]}},
            },
            {
                "Sid": "WriteThroughTheLoader",
                "Effect": "Allow",
                "Principal": everyone,
                "Action": "elasticfilesystem:ClientWrite",
                "Resource": "fs",
                "Condition": {"Bool": allow, "StringEquals": {arn: "loader"}},
            },
            {
                "Sid": "NobodyElseWrites",
                "Effect": "Deny",
                "Principal": everyone,
                "Action": [
                    "elasticfilesystem:ClientRootAccess",
                    "elasticfilesystem:ClientWrite",
                ],
                "Resource": "fs",
                "Condition": {"StringNotEquals": {arn: "loader"}},
            },
            {
                "Sid": "NothingInPlainText",
                "Effect": "Deny",
                "Principal": everyone,
                "Action": "*",
                "Resource": "fs",
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ],
    }
