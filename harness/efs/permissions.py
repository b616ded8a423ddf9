"""The IAM policy of the users of ``harness efs``: what its calls need, and nothing else."""

from harness.aws import Aws
from harness.efs.settings import Desired

# Every call that this package makes; a test holds the list against the code.
_READS = {
    "cloudwatch": ("get_metric_statistics",),
    "ec2": ("describe_security_group_rules", "describe_security_groups", "describe_subnets"),
    "efs": (
        "describe_access_points",
        "describe_backup_policy",
        "describe_file_system_policy",
        "describe_file_systems",
        "describe_mount_target_security_groups",
        "describe_mount_targets",
    ),
    "eks": ("describe_cluster", "describe_nodegroup", "list_nodegroups"),
}
_CHANGES = {
    "ec2": (
        "authorize_security_group_ingress",
        "create_security_group",
        "delete_security_group",
        "revoke_security_group_ingress",
    ),
    "efs": (
        "create_access_point",
        "create_file_system",
        "create_mount_target",
        "delete_access_point",
        "delete_file_system",
        "delete_mount_target",
        "modify_mount_target_security_groups",
        "put_backup_policy",
        "put_file_system_policy",
        "update_file_system",
    ),
}
_LINKED_ROLE = "iam:CreateServiceLinkedRole"
"""EFS and AWS Backup make a role of their own, the first time in an account."""


def document(aws: Aws, desired: Desired) -> dict[str, object]:
    """The policy; what changes something is confined to the settings' region."""
    changes = _actions(aws, _CHANGES) - {_LINKED_ROLE}
    services = ["elasticfilesystem.amazonaws.com", "backup.amazonaws.com"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Look",
                "Effect": "Allow",
                "Action": sorted(_actions(aws, _READS) - changes),
                "Resource": "*",
            },
            {
                "Sid": "Change",
                "Effect": "Allow",
                "Action": sorted(changes),
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:RequestedRegion": desired.region}},
            },
            {
                "Sid": "FirstFileSystemOfTheAccount",
                "Effect": "Allow",
                "Action": _LINKED_ROLE,
                "Resource": "arn:aws:iam::*:role/aws-service-role/*",
                "Condition": {"StringEquals": {"iam:AWSServiceName": services}},
            },
        ],
    }


def _actions(aws: Aws, calls: dict[str, tuple[str, ...]]) -> set[str]:
    return {
        action
        for service, operations in calls.items()
        for operation in operations
        for action in aws.permissions(service, operation)
    }
