"""What AWS has: the cluster that will mount, and whatever was made for it so far."""

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.aws import Aws, AwsError
from harness.core.errors import HarnessError
from harness.efs.settings import TOKEN_TAG, Desired

_SETTLED = ("available", "error")
_CONNECTIONS_MINUTES = 15  # CloudWatch's figures of EFS lag by some minutes


@dataclass(frozen=True, slots=True)
class ClusterNetwork:
    """An EKS cluster: its network, and one subnet for each zone that its node groups use."""

    vpc: str
    security_group: str
    subnets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rule:
    """One way into a security group. ``source`` is a group, an address range or a prefix list."""

    id: str
    protocol: str
    ports: tuple[int, int]
    source: str

    def __str__(self) -> str:
        first, last = self.ports
        return f"{first if first == last else f'{first}–{last}'}/{self.protocol} from {self.source}"


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    id: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class FileSystem:
    """``size`` is in bytes, as EFS metered it last: it may lag by hours."""

    id: str
    arn: str
    state: str
    encrypted: bool
    throughput: str
    size: int
    backup: bool
    policy: object


@dataclass(frozen=True, slots=True)
class MountTarget:
    id: str
    state: str
    zone: str
    security_groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """``root`` is its folder and owner as EFS writes them, ``user`` whom it makes of everyone."""

    id: str
    arn: str
    state: str
    token: str
    user: Mapping[str, object]
    root: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class State:
    """Everything that belongs to an environment's file system, and exists."""

    security_group: SecurityGroup | None = None
    file_system: FileSystem | None = None
    mount_targets: tuple[MountTarget, ...] = ()
    access_points: Mapping[str, AccessPoint] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[FileSystem | MountTarget | AccessPoint, ...]:
        """Whatever has a life of its own in AWS."""
        system = (self.file_system,) if self.file_system else ()
        return (*system, *self.mount_targets, *self.access_points.values())

    @property
    def pending(self) -> list[str]:
        """What AWS is still making or removing."""
        return [f"{each.id} is {each.state}" for each in self.parts if each.state not in _SETTLED]

    @property
    def broken(self) -> list[str]:
        """What AWS could not make."""
        return [each.id for each in self.parts if each.state == "error"]


def cluster(aws: Aws, desired: Desired) -> ClusterNetwork:
    """Return the cluster's network, with the zones of its node groups.

    Raises:
        AwsError: there is no such cluster in the region, or a node group's subnet is gone.
        HarnessError: it has no node groups yet.
    """
    name = desired.cluster_name
    network = aws.read("eks", "describe_cluster", name=name)["cluster"]["resourcesVpcConfig"]
    records = node_subnets(aws, desired)
    # EFS takes one mount target a zone: where a zone has two subnets, always the same one.
    records.sort(key=lambda each: str(each["SubnetId"]), reverse=True)
    subnets = {each["AvailabilityZone"]: each["SubnetId"] for each in records}
    zones = dict(sorted(subnets.items()))
    return ClusterNetwork(network["vpcId"], network["clusterSecurityGroupId"], zones)


def node_subnets(aws: Aws, desired: Desired) -> list[dict[str, Any]]:
    """Return the subnets of the cluster's node groups, as EC2 describes them.

    Raises:
        AwsError: there is no such cluster in the region, or a node group's subnet is gone.
        HarnessError: it has no node groups yet.
    """
    name = desired.cluster_name
    groups = aws.list_all("eks", "list_nodegroups", "nodegroups", clusterName=name)
    ids: set[str] = set()
    for group in groups:
        answer = aws.read("eks", "describe_nodegroup", clusterName=name, nodegroupName=str(group))
        ids.update(answer["nodegroup"]["subnets"])
    if not ids:
        raise HarnessError(
            f"{name} has no node groups, so its zones are unknown",
            hint=f"eksctl create nodegroup -f clusters/{desired.env}/eksctl.yaml",
        )
    return aws.list_all("ec2", "describe_subnets", "Subnets", SubnetIds=sorted(ids))


def collect(aws: Aws, desired: Desired, vpc: str | None = None) -> State:
    """Return what exists.

    Args:
        aws: the region's API.
        wanted: whose it is.
        vpc: where a security group of the settings' name counts, whoever created it; None: only
            a group that was made for ``wanted`` counts, wherever it is.
    """
    group = _security_group(aws, desired, vpc)
    systems = _file_systems(aws, desired)
    systems = [each for each in systems if each["LifeCycleState"] != "deleted"]
    if not systems:
        return State(group)
    system = _file_system(aws, systems[0])
    if system.state == "creating":
        return State(group, system)
    return State(group, system, _mount_targets(aws, system.id), _access_points(aws, system.id))


def _file_systems(aws: Aws, desired: Desired) -> list[dict[str, Any]]:
    taken_over = desired.settings.file_system
    named = {"FileSystemId": taken_over} if taken_over else {"CreationToken": desired.token}
    try:
        return aws.list_all("efs", "describe_file_systems", "FileSystems", **named)
    except AwsError as error:
        if error.code == "FileSystemNotFound":
            return []
        raise


def connections(aws: Aws, file_system: str) -> int:
    """How many clients had the file system mounted of late."""
    now = datetime.datetime.now(datetime.UTC)
    answer = aws.read(
        "cloudwatch",
        "get_metric_statistics",
        Namespace="AWS/EFS",
        MetricName="ClientConnections",
        Dimensions=[{"Name": "FileSystemId", "Value": file_system}],
        StartTime=now - datetime.timedelta(minutes=_CONNECTIONS_MINUTES),
        EndTime=now,
        Period=60 * _CONNECTIONS_MINUTES,
        Statistics=["Maximum"],
    )
    return int(max((each["Maximum"] for each in answer["Datapoints"]), default=0))


def _security_group(aws: Aws, desired: Desired, vpc: str | None) -> SecurityGroup | None:
    names = {"group-name": desired.settings.security_group}
    names |= {"vpc-id": vpc} if vpc else {f"tag:{TOKEN_TAG}": desired.token}
    filters = [{"Name": name, "Values": [value]} for name, value in names.items()]
    groups = aws.list_all("ec2", "describe_security_groups", "SecurityGroups", Filters=filters)
    if not groups:
        return None
    rules = aws.list_all(
        "ec2",
        "describe_security_group_rules",
        "SecurityGroupRules",
        Filters=[{"Name": "group-id", "Values": [groups[0]["GroupId"]]}],
    )
    return SecurityGroup(
        groups[0]["GroupId"], tuple(_rule(each) for each in rules if not each["IsEgress"])
    )


def _rule(record: Mapping[str, Any]) -> Rule:
    group = record.get("ReferencedGroupInfo", {}).get("GroupId")
    source = group or record.get("CidrIpv4") or record.get("CidrIpv6") or record.get("PrefixListId")
    ports = (record.get("FromPort", -1), record.get("ToPort", -1))
    return Rule(record["SecurityGroupRuleId"], record["IpProtocol"], ports, str(source))


def _file_system(aws: Aws, record: Mapping[str, Any]) -> FileSystem:
    name = record["FileSystemId"]
    backup = _or_none(aws, "describe_backup_policy", name, "PolicyNotFound")
    policy = _or_none(aws, "describe_file_system_policy", name, "PolicyNotFound")
    return FileSystem(
        id=name,
        arn=record["FileSystemArn"],
        state=record["LifeCycleState"],
        encrypted=record["Encrypted"],
        throughput=record["ThroughputMode"],
        size=record["SizeInBytes"]["Value"],
        backup=bool(backup) and backup["BackupPolicy"]["Status"] in ("ENABLED", "ENABLING"),
        policy=json.loads(policy["Policy"]) if policy else None,
    )


def _or_none(aws: Aws, operation: str, file_system: str, absent: str) -> Mapping[str, Any]:
    """An answer; empty where there is none, or where AWS does not know the file system yet."""
    try:
        return aws.read("efs", operation, FileSystemId=file_system)
    except AwsError as error:
        if error.code in (absent, "FileSystemNotFound", "IncorrectFileSystemLifeCycleState"):
            return {}
        raise


def _mount_targets(aws: Aws, file_system: str) -> tuple[MountTarget, ...]:
    return tuple(
        MountTarget(
            id=each["MountTargetId"],
            state=each["LifeCycleState"],
            zone=each["AvailabilityZoneName"],
            security_groups=_groups(aws, each["MountTargetId"]),
        )
        for each in _parts(aws, "describe_mount_targets", "MountTargets", file_system)
    )


def _groups(aws: Aws, mount_target: str) -> tuple[str, ...]:
    try:
        answer = aws.read(
            "efs", "describe_mount_target_security_groups", MountTargetId=mount_target
        )
    except AwsError as error:
        # It is being made or removed, so it is pending anyway.
        if error.code in ("IncorrectMountTargetState", "MountTargetNotFound"):
            return ()
        raise
    return tuple(sorted(answer["SecurityGroups"]))


def _access_points(aws: Aws, file_system: str) -> dict[str, AccessPoint]:
    return {
        each["ClientToken"]: AccessPoint(
            id=each["AccessPointId"],
            arn=each["AccessPointArn"],
            state=each["LifeCycleState"],
            token=each["ClientToken"],
            user=each.get("PosixUser", {}),
            root=each["RootDirectory"],
        )
        for each in _parts(aws, "describe_access_points", "AccessPoints", file_system)
    }


def _parts(aws: Aws, operation: str, key: str, file_system: str) -> list[dict[str, Any]]:
    try:
        records = aws.list_all("efs", operation, key, FileSystemId=file_system)
    except AwsError as error:
        if error.code == "FileSystemNotFound":  # one describe knows it, another does not yet
            return []
        raise
    return [each for each in records if each["LifeCycleState"] != "deleted"]
