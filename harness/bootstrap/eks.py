"""The cluster: what eksctl.yaml describes and EKS lacks, and eksctl, which makes it.

eksctl creates a whole cluster in one go and cannot resume with half of one. So each part is read
from EKS, and eksctl is given a description of the parts that are missing.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.aws import Answer, Aws, AwsError
from harness.bootstrap import stack
from harness.bootstrap.installation import Installation, Waiting
from harness.bootstrap.step import Inspection
from harness.core import command, console
from harness.core.errors import HarnessError
from harness.core.values import Value, dig, items, mapping, text

_NO_PLUGIN = "--install-nvidia-plugin=false"  # infra/nvidia's would fight it
_MINUTES = 90  # eksctl's own timeout end before
_ABSENT = "ResourceNotFoundException"
_NOT_THERE = ("CREATE_FAILED", "DELETE_FAILED")
_SETTLING = ("CREATING", "DELETING", "PENDING", "UPDATING")

Name = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of part that eksctl makes by itself.

    Attributes:
        path: where eksctl.yaml lists such parts.
        name: what tells one from another.
        command: of eksctl.
        shown: the part as a line of a plan.
    """

    path: tuple[str, ...]
    name: Callable[[object], Name]
    command: tuple[str, ...]
    shown: Callable[[object], str]


def _account(part: object) -> Name:
    return text(part, "namespace"), text(part, "serviceAccountName")


_NODES = Kind(
    ("managedNodeGroups",),
    lambda part: (text(part, "name"),),
    ("nodegroup", _NO_PLUGIN),
    lambda part: (
        f"node group {text(part, 'name')}: {dig(part, 'desiredCapacity')} × "
        f"{text(part, 'instanceType')}"
    ),
)
_ADDONS = Kind(
    ("addons",),
    lambda part: (text(part, "name"),),
    ("addon",),
    lambda part: f"addon {text(part, 'name')}",
)
_IDENTITIES = Kind(
    ("iam", "podIdentityAssociations"),
    _account,
    ("podidentityassociation",),
    lambda part: f"role of {'/'.join(_account(part))}",
)
_ENTRIES = Kind(
    ("accessConfig", "accessEntries"),
    lambda part: (text(part, "principalARN"),),
    ("accessentry",),
    lambda part: f"access of {text(part, 'principalARN')}",
)
# Nodes are not ready without the network, nor roles without the agent: both are addons.
KINDS = (_ENTRIES, _ADDONS, _NODES, _IDENTITIES)


@dataclass(frozen=True, slots=True)
class EksCluster:
    """A cluster as EKS has it.

    Attributes:
        status: of the control plane.
        groups: each node group's status.
        addons: each addon's status.
        versions: what EKS chose for each of them, since eksctl.yaml does not say.
        parts: the names of its parts, by where eksctl.yaml lists them.
    """

    status: str
    groups: Mapping[str, str] = field(default_factory=dict)
    addons: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[tuple[str, ...], frozenset[Name]] = field(default_factory=dict)

    @property
    def pending(self) -> list[str]:
        """What EKS is still making, or removing."""
        states = {"the control plane": self.status, **self.groups, **self.addons}
        return [f"{name} is {state}" for name, state in states.items() if state in _SETTLING]

    @property
    def broken(self) -> list[str]:
        """What EKS could not make."""
        states = {"the control plane": self.status, **self.groups}
        failed = [f"{name} is {state}" for name, state in states.items() if "FAILED" in state]
        return failed + [f"addon {name} is {self.addons[name]}" for name in self.failed_addons]

    @property
    def failed_addons(self) -> list[str]:
        """The addons that are not there, though EKS lists them; one that only could not be
        updated runs on in its older version."""
        return [name for name, state in self.addons.items() if state in _NOT_THERE]


def find(aws: Aws, name: str) -> EksCluster | None:
    """Return the cluster with all of its parts, or None if there is none."""
    try:
        description = aws.read("eks", "describe_cluster", name=name)["cluster"]
    except AwsError as error:
        if error.code == _ABSENT:
            return None
        raise
    groups = {
        str(each): _group(aws, name, str(each))
        for each in aws.list_all("eks", "list_nodegroups", "nodegroups", clusterName=name)
    }
    addons = {
        str(each): _addon(aws, name, str(each))
        for each in aws.list_all("eks", "list_addons", "addons", clusterName=name)
    }
    roles = aws.list_all("eks", "list_pod_identity_associations", "associations", clusterName=name)
    entries = aws.list_all("eks", "list_access_entries", "accessEntries", clusterName=name)
    return EksCluster(
        description["status"],
        {each: group["status"] for each, group in groups.items()},
        {each: addon["status"] for each, addon in addons.items()},
        {
            **{each: addon.get("addonVersion", "?") for each, addon in addons.items()},
            **{f"nodes {each}": group.get("releaseVersion", "?") for each, group in groups.items()},
        },
        {
            _NODES.path: frozenset((each,) for each in groups),
            _ADDONS.path: frozenset((each,) for each in addons),
            _IDENTITIES.path: frozenset(
                (each["namespace"], each["serviceAccount"]) for each in roles
            ),
            _ENTRIES.path: frozenset((str(each),) for each in entries),
        },
    )


def missing(described: Value, cluster: EksCluster | None) -> dict[Kind, list[object]]:
    """The parts that eksctl.yaml describes and EKS lacks. Pure."""
    existing = cluster.parts if cluster else {}
    return {
        kind: [
            part
            for part in items(described, *kind.path)
            if kind.name(part) not in existing.get(kind.path, frozenset())
        ]
        for kind in KINDS
    }


def inspect(installation: Installation) -> Inspection:
    """Check whether EKS has all that eksctl.yaml describes."""
    described, name = installation.eksctl(), installation.cluster_name
    cluster = find(installation.aws, name)
    if cluster is None:
        additions = [f"EKS cluster {name}, Kubernetes {dig(described, 'metadata', 'version')}"]
    else:
        additions = []
    additions += [
        kind.shown(part) for kind, parts in missing(described, cluster).items() for part in parts
    ]
    pending = cluster.pending + cluster.broken if cluster else []
    changes = (*(f"+ {each}" for each in additions), *(f"~ {each}" for each in pending))
    versions = cluster.versions.items() if cluster else ()
    chosen = ", ".join(f"{each} {version}" for each, version in versions)
    return Inspection(
        (f"EKS cluster {name}", *([f"EKS chose {chosen}"] if chosen else [])), changes
    )


def build(installation: Installation, update: console.Update) -> None:
    """Have eksctl make the cluster, or what a cluster lacks.

    Raises:
        CommandError: eksctl failed; its last lines are in the text.
        HarnessError: AWS could not make a part.
    """
    cluster = _wait_until_settled(installation, update)
    if cluster is None:
        _eksctl(
            installation, update, "create", "cluster", "-f", installation.eksctl_file, _NO_PLUGIN
        )
        cluster = _wait_until_settled(installation, update)
    described = installation.eksctl()
    for kind, parts in missing(described, cluster).items():
        if parts:
            less = json.dumps(_with(described, kind.path, parts))
            _eksctl(installation, update, "create", *kind.command, "-f", "-", stdin=less)
    _wait_until_settled(installation, update)


def _wait_until_settled(installation: Installation, update: console.Update) -> EksCluster | None:
    """Return the cluster once nothing of it is in progress, or None if there is none.

    Raises:
        HarnessError: a part could not be made, or is being made for too long.
    """
    aws, name = installation.aws, installation.cluster_name
    waiting = Waiting(installation.pace, f"EKS cluster {name}")
    remove = f"eksctl delete cluster -f {installation.eksctl_file} --wait"
    while True:
        cluster = find(aws, name)
        # eksctl's own stack: it creates the network before the cluster exists.
        creating = stack.find(aws, f"eksctl-{name}-cluster")
        if cluster is None and creating and not creating.busy:
            raise HarnessError(
                f"{creating.name} is in {creating.status}, and there is no cluster {name}",
                hint=f"{remove}, then: {installation.again}",
            )
        if cluster and cluster.broken:
            raise HarnessError("; ".join(cluster.broken), hint=_mend(installation, cluster))
        pending = cluster.pending if cluster else [creating.status] if creating else []
        if not pending:
            return cluster
        update(f"waiting: {', '.join(pending)}")
        waiting.look_again(", ".join(pending), f"eksctl utils describe-stacks --cluster {name}")


def _mend(installation: Installation, cluster: EksCluster) -> str:
    where = f"--cluster {installation.cluster_name} --region {installation.aws.region}"
    groups = [name for name, state in cluster.groups.items() if "FAILED" in state]
    if not groups and not cluster.failed_addons:
        return f"eksctl delete cluster -f {installation.eksctl_file} --wait"
    lines = [f"eksctl delete nodegroup {where} --name {name} --wait" for name in groups]
    lines += [f"eksctl delete addon {where} --name {name}" for name in cluster.failed_addons]
    return "\n  → ".join([*lines, installation.again])


def _eksctl(
    installation: Installation, update: console.Update, *words: str, stdin: str = ""
) -> None:
    try:
        command.stream(
            ["eksctl", *words],
            timeout=60 * _MINUTES,
            on_line=update,
            cwd=installation.repository.root,
            stdin=stdin,
        )
    except command.CommandError as error:
        name, region = installation.cluster_name, installation.aws.region
        raise HarnessError(
            error.message,
            hint=f"eksctl utils describe-stacks --cluster {name} --region {region} has the reason"
            f"\n  → {installation.again}",
        ) from error


def _with(described: Value, path: tuple[str, ...], parts: list[object]) -> Value:
    """A description that has, of the parts at ``path``, only ``parts``."""
    key, *rest = path
    inner = _with(mapping(described, key), tuple(rest), parts) if rest else parts
    return {**described, key: inner}


def _group(aws: Aws, cluster: str, name: str) -> Answer:
    response = aws.read("eks", "describe_nodegroup", clusterName=cluster, nodegroupName=name)
    group: Answer = response["nodegroup"]
    return group


def _addon(aws: Aws, cluster: str, name: str) -> Answer:
    response = aws.read("eks", "describe_addon", clusterName=cluster, addonName=name)
    addon: Answer = response["addon"]
    return addon
