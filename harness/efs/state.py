"""What AWS has: the cluster that will mount, and whatever was made for it so far."""

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.aws import Aws, AwsError
from harness.core.errors import HarnessError
from harness.efs.settings import TOKEN_TAG, Wanted

_SETTLED = ("available", "error")
_CONNECTIONS_MINUTES = 15  # CloudWatch's figures of EFS lag by some minutes


@dataclass(frozen=True, slots=True)
class Cluster:
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


def cluster(aws: Aws, wanted: Wanted) -> Cluster:
    """Look the cluster up, and the zones of its node groups.

    Raises:
        AwsError: there is no such cluster in the region, or a node group's subnet is gone.
        HarnessError: it has no node groups yet.
    """
    name = wanted.cluster_name
    network = aws.ask("eks", "describe_cluster", name=name)["cluster"]["resourcesVpcConfig"]
    groups = aws.every("eks", "list_nodegroups", "nodegroups", clusterName=name)
    ids: set[str] = set()
    for group in groups:
        answer = aws.ask("eks", "describe_nodegroup", clusterName=name, nodegroupName=str(group))
        ids.update(answer["nodegroup"]["subnets"])
    if not ids:
        raise HarnessError(
            f"{name} has no node groups, so nothing says in which zones it mounts",
            hint=f"eksctl create nodegroup -f clusters/{wanted.env}/eksctl.yaml",
        )
    found = aws.every("ec2", "describe_subnets", "Subnets", SubnetIds=sorted(ids))
    # EFS takes one mount target a zone: where a zone has two subnets, always the same one.
    found.sort(key=lambda each: str(each["SubnetId"]), reverse=True)
    subnets = {each["AvailabilityZone"]: each["SubnetId"] for each in found}
    zones = dict(sorted(subnets.items()))
    return Cluster(network["vpcId"], network["clusterSecurityGroupId"], zones)


def look(aws: Aws, wanted: Wanted, vpc: str | None = None) -> State:
    """Look at what there is.

    Args:
        aws: where to look.
        wanted: whose it is.
        vpc: where a security group of the settings' name counts, whoever made it; None: only
            a group that was made for ``wanted`` counts, wherever it is.
    """
    group = _security_group(aws, wanted, vpc)
    systems = _file_systems(aws, wanted)
    systems = [each for each in systems if each["LifeCycleState"] != "deleted"]
    if not systems:
        return State(group)
    system = _file_system(aws, systems[0])
    if system.state == "creating":
        return State(group, system)
    return State(group, system, _mount_targets(aws, system.id), _access_points(aws, system.id))


def _file_systems(aws: Aws, wanted: Wanted) -> list[dict[str, Any]]:
    taken_over = wanted.settings.file_system
    named = {"FileSystemId": taken_over} if taken_over else {"CreationToken": wanted.token}
    try:
        return aws.every("efs", "describe_file_systems", "FileSystems", **named)
    except AwsError as error:
        if error.code == "FileSystemNotFound":
            return []
        raise


def connections(aws: Aws, file_system: str) -> int:
    """How many clients had the file system mounted of late."""
    until = datetime.datetime.now(datetime.UTC)
    answer = aws.ask(
        "cloudwatch",
        "get_metric_statistics",
        Namespace="AWS/EFS",
        MetricName="ClientConnections",
        Dimensions=[{"Name": "FileSystemId", "Value": file_system}],
        StartTime=until - datetime.timedelta(minutes=_CONNECTIONS_MINUTES),
        EndTime=until,
        Period=60 * _CONNECTIONS_MINUTES,
        Statistics=["Maximum"],
    )
    return int(max((each["Maximum"] for each in answer["Datapoints"]), default=0))


def _security_group(aws: Aws, wanted: Wanted, vpc: str | None) -> SecurityGroup | None:
    names = {"group-name": wanted.settings.security_group}
    names |= {"vpc-id": vpc} if vpc else {f"tag:{TOKEN_TAG}": wanted.token}
    filters = [{"Name": name, "Values": [value]} for name, value in names.items()]
    found = aws.every("ec2", "describe_security_groups", "SecurityGroups", Filters=filters)
    if not found:
        return None
    rules = aws.every(
        "ec2",
        "describe_security_group_rules",
        "SecurityGroupRules",
        Filters=[{"Name": "group-id", "Values": [found[0]["GroupId"]]}],
    )
    return SecurityGroup(
        found[0]["GroupId"], tuple(_rule(each) for each in rules if not each["IsEgress"])
    )


def _rule(found: Mapping[str, Any]) -> Rule:
    group = found.get("ReferencedGroupInfo", {}).get("GroupId")
    source = group or found.get("CidrIpv4") or found.get("CidrIpv6") or found.get("PrefixListId")
    ports = (found.get("FromPort", -1), found.get("ToPort", -1))
    return Rule(found["SecurityGroupRuleId"], found["IpProtocol"], ports, str(source))


def _file_system(aws: Aws, found: Mapping[str, Any]) -> FileSystem:
    name = found["FileSystemId"]
    backup = _or_none(aws, "describe_backup_policy", name, "PolicyNotFound")
    policy = _or_none(aws, "describe_file_system_policy", name, "PolicyNotFound")
    return FileSystem(
        id=name,
        arn=found["FileSystemArn"],
        state=found["LifeCycleState"],
        encrypted=found["Encrypted"],
        throughput=found["ThroughputMode"],
        size=found["SizeInBytes"]["Value"],
        backup=bool(backup) and backup["BackupPolicy"]["Status"] in ("ENABLED", "ENABLING"),
        policy=json.loads(policy["Policy"]) if policy else None,
    )


def _or_none(aws: Aws, operation: str, file_system: str, absent: str) -> Mapping[str, Any]:
    """An answer; empty where there is none, or where AWS does not know the file system yet."""
    try:
        return aws.ask("efs", operation, FileSystemId=file_system)
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
        answer = aws.ask("efs", "describe_mount_target_security_groups", MountTargetId=mount_target)
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
        found = aws.every("efs", operation, key, FileSystemId=file_system)
    except AwsError as error:
        if error.code == "FileSystemNotFound":  # one describe knows it, another does not yet
            return []
        raise
    return [each for each in found if each["LifeCycleState"] != "deleted"]
