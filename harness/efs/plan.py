"""The differences between the desired and the actual state, as calls that remove them. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.aws import Call
from harness.efs import policy
from harness.efs.settings import Desired
from harness.efs.state import AccessPoint, ClusterNetwork, FileSystem, SecurityGroup, State

NFS = 2049
EMPTY_BYTES = 64 << 10
"""An empty file system is metered with 6 KiB, each folder with 4 more; archives are megabytes."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``call`` is None while it waits for something that is not there yet."""

    text: str
    call: Call | None


@dataclass(frozen=True, slots=True)
class Role:
    """An access point: everyone who mounts through it is ``uid``, and sees ``path`` as the root."""

    name: str
    path: str
    uid: int
    setting: str  # in site.yaml

    def token(self, desired: Desired) -> str:
        return f"{desired.token}-{self.name}"

    @property
    def user(self) -> dict[str, object]:
        return {"Uid": self.uid, "Gid": self.uid}

    @property
    def root(self) -> dict[str, object]:
        owner = {"OwnerUid": LOADER.uid, "OwnerGid": LOADER.uid, "Permissions": "0755"}
        return {"Path": self.path, "CreationInfo": owner}


LOADER = Role("loader", "/data", 1000, "EFS_LOADER_ACCESS_POINT_ID")
# Another user than the one who owns the files: it could not write if the policy were gone.
SERVER = Role("server", "/data/model_store", 1001, "EFS_SERVER_ACCESS_POINT_ID")
ROLES = (LOADER, SERVER)
FILE_SYSTEM = "EFS_FILE_SYSTEM_ID"


def converge(desired: Desired, cluster: ClusterNetwork, state: State) -> list[Change]:
    """What is missing or different, in the order in which it is made.

    The policy comes before the first mount target: no client can mount before it applies.
    """
    return [
        *_group_changes(desired, cluster, state.security_group),
        *_file_system_changes(desired, state.file_system),
        *_access_point_changes(desired, state),
        *_policy_changes(desired, state),
        *_mount_target_changes(desired, cluster, state),
    ]


def demolish(state: State) -> list[Change]:
    """What is left, in the order in which AWS lets it go."""
    system = state.file_system
    parts = [
        *(
            Change(f"- access point {each.id} ({each.root.get('Path')})", _efs(
                "delete_access_point", AccessPointId=each.id))
            for each in state.access_points.values()
            if each.state != "deleting"
        ),
        *(
            Change(f"- mount target {each.id} in {each.zone}", _efs(
                "delete_mount_target", MountTargetId=each.id))
            for each in state.mount_targets
            if each.state != "deleting"
        ),
    ]  # fmt: skip
    changes = list(parts)
    if system and system.state != "deleting":
        remaining = parts or state.mount_targets or state.access_points
        call = None if remaining else _efs("delete_file_system", FileSystemId=system.id)
        changes.append(Change(f"- file system {system.id} ({system.size:,} bytes)", call))
    if state.security_group:
        name = state.security_group.id
        call = None if system else Call("ec2", "delete_security_group", {"GroupId": name})
        changes.append(Change(f"- security group {name}", call))
    return changes


def stuck(desired: Desired, state: State) -> list[str]:
    """Return the differences that cannot be changed: a person has to decide about them."""
    faults = [f"{name} is in state error: remove it" for name in state.broken]
    taken_over = desired.settings.file_system
    if taken_over and not state.file_system:
        faults.append(f"there is no {taken_over} in {desired.region} to take over")
    if state.file_system and not state.file_system.encrypted and not taken_over:
        faults.append(f"{state.file_system.id} is not encrypted, which is decided at its creation")
    for role in ROLES:
        point = state.access_points.get(role.token(desired))
        if point and not _fits(role, point):
            shown = json.dumps({"user": point.user, "root": point.root})
            faults.append(f"{point.id}, the {role.name}'s access point, is {shown}: remove it")
    return faults


def ids(desired: Desired, state: State) -> dict[str, str]:
    """Return the ids that belong into site.yaml, as far as they are known."""
    points = {role.setting: state.access_points.get(role.token(desired)) for role in ROLES}
    known: dict[str, FileSystem | AccessPoint | None] = {FILE_SYSTEM: state.file_system, **points}
    return {name: resource.id for name, resource in known.items() if resource}


def _efs(operation: str, **parameters: object) -> Call:
    return Call("efs", operation, parameters)


def _group_changes(
    desired: Desired, cluster: ClusterNetwork, group: SecurityGroup | None
) -> Iterator[Change]:
    name, source = desired.settings.security_group, cluster.security_group
    if not group:
        yield Change(
            f"+ security group {name} in {cluster.vpc}",
            Call("ec2", "create_security_group", {
                "GroupName": name,
                "Description": f"NFS from {desired.cluster_name} to its model store",
                "VpcId": cluster.vpc,
                "TagSpecifications": [{"ResourceType": "security-group", "Tags": desired.tags}],
            }),
        )  # fmt: skip
    rules = group.rules if group else ()
    right = [rule for rule in rules if (rule.protocol, rule.ports, rule.source)
             == ("tcp", (NFS, NFS), source)]  # fmt: skip
    if not right:
        grant = {"IpProtocol": "tcp", "FromPort": NFS, "ToPort": NFS,
                 "UserIdGroupPairs": [{"GroupId": source, "Description": "NFS"}]}  # fmt: skip
        yield Change(
            f"+ {NFS}/tcp from {source}, the cluster's own group",
            Call("ec2", "authorize_security_group_ingress",
                 {"GroupId": group.id, "IpPermissions": [grant]})
            if group
            else None,
        )  # fmt: skip
    for rule in rules:
        if group and rule not in right:
            yield Change(
                f"- {rule}",
                Call("ec2", "revoke_security_group_ingress",
                     {"GroupId": group.id, "SecurityGroupRuleIds": [rule.id]}),
            )  # fmt: skip


def _file_system_changes(desired: Desired, system: FileSystem | None) -> Iterator[Change]:
    if not system and desired.settings.file_system:
        return
    if not system:
        yield Change(
            "+ file system: encrypted, elastic throughput, backups",
            _efs("create_file_system", CreationToken=desired.token, Encrypted=True,
                 PerformanceMode="generalPurpose", ThroughputMode="elastic", Backup=True,
                 Tags=desired.tags),
        )  # fmt: skip
        return
    if system.throughput != "elastic":
        yield Change(
            f"~ throughput of {system.id}: {system.throughput} → elastic",
            _efs("update_file_system", FileSystemId=system.id, ThroughputMode="elastic"),
        )
    if not system.backup:
        yield Change(
            f"~ backups of {system.id}: off → on",
            _efs("put_backup_policy", FileSystemId=system.id, BackupPolicy={"Status": "ENABLED"}),
        )


def _usable(state: State) -> FileSystem | None:
    system = state.file_system
    return system if system and system.state == "available" else None


def _access_point_changes(desired: Desired, state: State) -> Iterator[Change]:
    system = _usable(state)
    for role in ROLES:
        if role.token(desired) not in state.access_points:
            yield Change(
                f"+ access point of the {role.name}: {role.path}, uid {role.uid}",
                _efs(
                    "create_access_point",
                    ClientToken=role.token(desired),
                    FileSystemId=system.id,
                    PosixUser=role.user,
                    RootDirectory=role.root,
                    Tags=[*desired.tags, {"Key": "role", "Value": role.name}],
                )
                if system
                else None,
            )


def _policy_changes(desired: Desired, state: State) -> Iterator[Change]:
    """Yield the policy once both access points exist: it names them."""
    right = _right_policy(desired, state)
    system = _usable(state)
    if not right or not system:
        yield Change("+ file-system policy: mount by TLS, write through the loader's alone", None)
    elif system.policy != right:
        yield Change(
            f"{'~' if system.policy else '+'} file-system policy: "
            "mount by TLS, write through the loader's alone",
            _efs("put_file_system_policy", FileSystemId=system.id, Policy=json.dumps(right)),
        )


def _right_policy(desired: Desired, state: State) -> policy.Policy | None:
    points = [state.access_points.get(role.token(desired)) for role in ROLES]
    arns = [point.arn for point in points if point]
    if not state.file_system or len(arns) < len(ROLES):
        return None
    return policy.document(state.file_system.arn, *arns)


def _mount_target_changes(
    desired: Desired, cluster: ClusterNetwork, state: State
) -> Iterator[Change]:
    system, group = _usable(state), state.security_group
    guarded = system and system.policy and system.policy == _right_policy(desired, state)
    targets = {target.zone: target for target in state.mount_targets}
    for zone, subnet in cluster.subnets.items():
        target = targets.get(zone)
        if not target:
            yield Change(
                f"+ mount target in {zone} ({subnet})",
                _efs("create_mount_target", FileSystemId=system.id, SubnetId=subnet,
                     SecurityGroups=[group.id])
                if guarded and system and group
                else None,
            )  # fmt: skip
        elif target.state == "available" and (not group or target.security_groups != (group.id,)):
            yield Change(
                f"~ security group of the mount target in {zone}",
                _efs("modify_mount_target_security_groups",
                     MountTargetId=target.id, SecurityGroups=[group.id])
                if group
                else None,
            )  # fmt: skip


def _fits(role: Role, point: AccessPoint) -> bool:
    return _covers(point.user, role.user) and _covers(point.root, role.root)


def _covers(actual: Mapping[str, object], expected: Mapping[str, object]) -> bool:
    """All that is wanted is found; AWS may add keys of its own."""
    return all(actual.get(key) == value for key, value in expected.items())
