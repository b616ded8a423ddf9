"""Placement: quotas and zones let the nodes start, and the pods where their rules want them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.problem import Problem
from harness.core.values import KeyPath, dig, items, text
from harness.core.words import amount
from harness.policy.facts import eks
from harness.policy.facts.capacity import made_to_order, node_count
from harness.policy.facts.pods import Pod, pods, selects
from harness.policy.facts.scale import replicas, rollout
from harness.policy.facts.service_quotas import quotas
from harness.policy.project import Project
from harness.policy.rule import problem, rule
from harness.render.objects import Object

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_HOST, _ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
_WHAT = {_HOST: "node", _ZONE: "zone"}
_EBS, _WAITS = "ebs.csi.aws.com", "WaitForFirstConsumer"


@rule(
    "capacity/vcpu-quota",
    why="EC2 starts no instance beyond the account's quota: nodes are missing, and an update of a "
    "node group, which starts two for each zone before it removes old ones, fails",
    fix="have the quota raised (Service Quotas; it takes days) and write the new number; or run "
    "fewer, smaller nodes, in fewer zones",
    references=("EKS user guide: node update behavior",),
)
def vcpu_quota(project: Project) -> Iterator[Problem]:
    for quota in quotas(project):
        largest = quota.updating
        needed = quota.always + (largest.updating if largest else 0)
        if largest and needed > quota.limit:
            message = (
                f"{quota.name}: {quota.limit} vCPUs, nodes take {quota.always} "
                f"({', '.join(map(str, quota.uses))}) and an update of {largest.group.name} "
                f"{largest.updating} more ({largest.more} × {largest.vcpus}), {needed} in all"
            )
            yield quota.cluster.problem(message, *quota.path)


@rule(
    "capacity/apart",
    why="pods that have to be apart wait for a node, or a zone, of their own: with fewer of them "
    "than pods, the rest is Pending forever and the upgrade is rolled back",
    fix="make the rule preferred (preferredDuringScheduling…, ScheduleAnyway), or run no more pods "
    "than there are nodes or zones, a rollout's surge included",
)
def apart(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        for subject in pods(cluster.environment, "Deployment", "StatefulSet"):
            if not made_to_order(cluster.environment, subject.spec):
                yield from _crowding(cluster, subject)


def _crowding(cluster: eks.Cluster, subject: Pod) -> Iterator[Problem]:
    rolling = rollout(subject.owner, replicas(cluster.environment, subject.owner)[1])
    for term in _terms(subject):
        count = rolling.replicas + (rolling.surge if term.rollouts_count else 0)
        domains = _domains(cluster, subject, term.key)
        if domains is not None and domains < term.least and count > domains * term.most:
            message = f"{amount(count, 'pod')} at once, at most {term.most} on each of "
            yield subject.problem(f"{message}{amount(domains, _WHAT[term.key])}", *term.path)


@dataclass(frozen=True, slots=True)
class _Term:
    """A rule by which the pods of a workload keep apart.

    Attributes:
        path: where the pod's spec has it.
        key: the label whose values tell nodes or zones apart.
        most: how many of the pods may be in one of them.
        least: of how many of them on it lets more be there.
        rollouts_count: whether the pods of a rollout count together with the old ones.
    """

    path: KeyPath
    key: str
    most: int
    least: float = math.inf
    rollouts_count: bool = True


def _terms(subject: Pod) -> Iterator[_Term]:
    anti = ("affinity", "podAntiAffinity", _REQUIRED)
    for index, term in enumerate(items(subject.spec, *anti)):
        same = selects(dig(term, "labelSelector"), subject.labels)
        if same and not items(term, "matchLabelKeys"):
            yield _Term((*anti, index), text(term, "topologyKey"), 1)
    spread = "topologySpreadConstraints"
    for index, term in enumerate(items(subject.spec, spread)):
        least, skew = dig(term, "minDomains"), dig(term, "maxSkew")
        strict = text(term, "whenUnsatisfiable") in ("", "DoNotSchedule")
        if strict and isinstance(least, int) and isinstance(skew, int):
            path = (spread, index, "minDomains")
            together = not items(term, "matchLabelKeys")
            yield _Term(path, text(term, "topologyKey"), skew, least, together)


def _domains(cluster: eks.Cluster, subject: Pod, key: str) -> int | None:
    """How many nodes or zones may have the pod; None of other domains, and where that is open."""
    groups = [group for group in cluster.groups if group.holds(subject.spec)]
    if key == _HOST:
        return sum(node_count(cluster.environment, group) for group in groups)
    zones = [group.values_of(_ZONE) for group in groups]
    if key != _ZONE or None in zones:
        return None
    return len({str(zone) for each in zones for zone in each or ()})


@rule(
    "storage/zone-of-pod",
    why="a disk of EBS is in one zone: made before its pod has a node, it may be where none of the "
    "pod's nodes is, and the pod waits forever",
    fix="volumeBindingMode: WaitForFirstConsumer",
    kinds=("StorageClass",),
)
def zone_of_pod(storage: Object) -> Iterator[Problem]:
    mode = text(storage.value, "volumeBindingMode")
    pinned = items(storage.value, "allowedTopologies")
    if text(storage.value, "provisioner") == _EBS and not pinned and mode != _WAITS:
        message = f"volumeBindingMode is {mode or 'Immediate, which is the default'}"
        yield problem(storage, message, "volumeBindingMode", to=_WAITS)
