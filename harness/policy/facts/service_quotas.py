"""EC2's quotas of vCPUs: what an account may run in a region, by the family of instance types.

Nobody here knows an account's quotas: eksctl.yaml says them under metadata.annotations, which
eksctl ignores, by AWS's own code (`L-DB2E81BA: "48"`). What is not there is unknown: not guessed.
https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.values import Key, dig, items, mapping, text
from harness.policy.facts import eks
from harness.policy.facts.capacity import node_count
from harness.policy.facts.identity import site
from harness.policy.project import Project

_STANDARD = ("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z")
_FAMILIES = {
    ("L-DB2E81BA", "Running On-Demand G and VT instances", False): ("g", "gr", "vt"),
    ("L-417A185B", "Running On-Demand P instances", False): ("p",),
    ("L-1216C47A", "Running On-Demand Standard instances", False): _STANDARD,
    ("L-3819A6DF", "All G and VT Spot Instance Requests", True): ("g", "gr", "vt"),
    ("L-34B43A08", "All Standard Spot Instance Requests", True): _STANDARD,
}
_ZONES = 3  # eksctl's own choice, where eksctl.yaml lists none


@dataclass(frozen=True)
class Use:
    """What a node group takes of a quota.

    Attributes:
        nodes: how many there are.
        more: how many EKS starts before it removes old ones, when the group is updated.
        vcpus: of each of them.
    """

    group: eks.NodeGroup
    nodes: int
    more: int
    vcpus: int

    @property
    def always(self) -> int:
        return self.nodes * self.vcpus

    @property
    def updating(self) -> int:
        return self.more * self.vcpus

    def __str__(self) -> str:
        return f"{self.group.name} of {self.group.cluster.environment} {self.nodes} × {self.vcpus}"


@dataclass(frozen=True)
class Quota:
    """A quota that eksctl.yaml says, and everything here that takes of it."""

    cluster: eks.Cluster
    code: str
    name: str
    limit: int
    uses: tuple[Use, ...]

    @property
    def path(self) -> tuple[Key, ...]:
        """Where eksctl.yaml says it."""
        return ("metadata", "annotations", self.code)

    @property
    def always(self) -> int:
        return sum(each.always for each in self.uses)

    @property
    def updating(self) -> Use | None:
        """The group whose update takes most; they are updated one after the other."""
        return max(self.uses, key=lambda each: each.updating, default=None)


def quotas(project: Project) -> Iterator[Quota]:
    """Every quota that the eksctl.yaml of an environment says."""
    clusters = list(eks.clusters(project))
    for cluster in clusters:
        annotations = mapping(cluster.value, "metadata", "annotations")
        for (code, name, spot), letters in _FAMILIES.items():
            limit = str(annotations.get(code, ""))
            if limit.isdecimal():
                sharing = [each for each in clusters if _shares_account(cluster, each)]
                uses = tuple(use for each in sharing for use in _uses(each, letters, spot))
                yield Quota(cluster, code, name, int(limit), uses)


def notes(project: Project) -> Iterator[str]:
    """What is not known of quotas: which environments take of one that eksctl.yaml does not say."""
    silent: dict[str, list[str]] = {}
    for cluster in eks.clusters(project):
        annotations = mapping(cluster.value, "metadata", "annotations")
        for (code, name, spot), letters in _FAMILIES.items():
            for use in _uses(cluster, letters, spot) if code not in annotations else ():
                silent.setdefault(f"{name} ({code})", []).append(str(use))
    if silent:
        yield (
            "not checked whether these node groups fit the account's vCPU quotas, since no "
            "eksctl.yaml names them (metadata.annotations, docs/install-eks.md): "
            + "; ".join(f"{name}: {', '.join(uses)}" for name, uses in silent.items())
        )


def _shares_account(cluster: eks.Cluster, other: eks.Cluster) -> bool:
    """Whether two clusters are one, or in one account and region."""
    account, region = _place(cluster)
    return cluster == other or (account.isdecimal() and (account, region) == _place(other))


def _place(cluster: eks.Cluster) -> tuple[str, str]:
    settings = site(cluster.project, cluster.environment.name)
    account = text(settings and settings.value, "data", "AWS_ACCOUNT_ID")
    return account, text(cluster.value, "metadata", "region")


def _uses(cluster: eks.Cluster, letters: tuple[str, ...], spot: bool) -> Iterator[Use]:
    for group in cluster.groups:
        families = {re.sub(r"\d.*", "", each.name) for each in group.types}
        if group.is_known and families & {*letters} and (dig(group.value, "spot") is True) == spot:
            nodes = node_count(cluster.environment, group)
            yield Use(group, nodes, _more(group), max(each.cpus for each in group.types))


def _more(group: eks.NodeGroup) -> int:
    """How many nodes an update starts: two for each zone, or as many as it may replace at once.

    https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html
    """
    zones = items(group.value, "availabilityZones") or items(
        group.cluster.value, "availabilityZones"
    )
    at_once = dig(group.value, "updateConfig", "maxUnavailable")
    return max(2 * (len(zones) or _ZONES), at_once if isinstance(at_once, int) else 1)
