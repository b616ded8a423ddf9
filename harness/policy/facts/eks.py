"""An environment's eksctl.yaml, and what its instance types are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from harness.core.fix import NOTHING, Fix, set_at
from harness.core.problem import Problem
from harness.core.values import Key, KeyPath, Value, dig, items, mapping, text
from harness.core.yamlfile import Document
from harness.policy.facts.graph import chart
from harness.policy.facts.pods import fits
from harness.policy.project import Project
from harness.policy.recorded import instances
from harness.policy.recorded.instances import InstanceType
from harness.render.rendered import Environment

_GPU = "nvidia.com/gpu"
_DISK = 80  # GiB: eksctl's own default of volumeSize
# Taints that a driver takes away when it is ready: gone when pods are placed, for whoever waits.
EFS_READY = "efs.csi.aws.com/agent-not-ready"
STARTUP = (
    EFS_READY,
    "ebs.csi.aws.com/agent-not-ready",
    "fsx.csi.aws.com/agent-not-ready",
    "s3.csi.aws.com/agent-not-ready",
    "node.cilium.io/agent-not-ready",
)
_REQUIRED = (
    "affinity",
    "nodeAffinity",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "nodeSelectorTerms",
)
_PREFIXES = re.compile(r"""ENABLE_PREFIX_DELEGATION["']?\s*:\s*["']?true""")
_FEATURES = ("nvidia.com/", "feature.node.kubernetes.io/")
_NODES = 450  # of a managed node group at most: EKS's own quota


@dataclass(frozen=True)
class NodeGroup:
    """A managed node group: ``path`` leads to it inside the file."""

    cluster: "Cluster"
    path: KeyPath

    @property
    def value(self) -> Value:
        return mapping(self.cluster.value, *self.path)

    @property
    def name(self) -> str:
        return text(self.value, "name")

    @property
    def instances(self) -> dict[KeyPath, str]:
        """The instance types that its nodes may have, by where the group names them."""
        listed = items(self.value, "instanceTypes")
        one: dict[KeyPath, str] = {("instanceType",): text(self.value, "instanceType")}
        paths: dict[KeyPath, str] = {
            ("instanceTypes", i): str(each) for i, each in enumerate(listed)
        }
        return paths or one

    @property
    def types(self) -> list[InstanceType]:
        """Those of its instance types that are known."""
        return list(filter(None, map(instances.find, self.instances.values())))

    @property
    def is_known(self) -> bool:
        """Whether all its instance types are known; by `instanceSelector` eksctl chooses them."""
        return len(self.types) == len(self.instances)

    @property
    def gpus(self) -> int:
        """GPUs that pods here can use of its smallest instance type that has any."""
        return min((each.gpus for each in self.types if each.runs_cuda), default=0)

    @property
    def is_for_gpus(self) -> bool:
        """Whether its nodes have GPUs, or are labeled or tainted as if they had."""
        keys = {text(each, "key") for each in items(self.value, "taints")}
        labeled = mapping(self.value, "labels").get(f"{_GPU}.present") == "true"
        return bool(self.gpus) or labeled or _GPU in keys

    @property
    def taints(self) -> list[object]:
        """The taints that keep pods off. A driver's own is gone when pods are placed."""
        drivers = {key.partition("/")[0] for key in STARTUP}
        strict = [
            each
            for each in items(self.value, "taints")
            if text(each, "effect") != "PreferNoSchedule"
        ]
        keys = [(text(each, "key"), each) for each in strict]
        return [
            taint
            for key, taint in keys
            if key.partition("/")[0] not in drivers and not key.endswith("/agent-not-ready")
        ]

    @property
    def nodes(self) -> int:
        """How many nodes it has: EKS keeps that many, and ``maxSize`` only bounds an autoscaler.

        Without desiredCapacity eksctl takes minSize, and without that 2.
        """
        return self._size("desiredCapacity", self._size("minSize", 2))

    @property
    def most(self) -> int:
        """How many nodes an autoscaler may give it."""
        return self._size("maxSize", self.nodes)

    def _size(self, key: str, default: int) -> int:
        size = dig(self.value, key)
        return min(size, _NODES) if isinstance(size, int) else default

    @property
    def disk(self) -> int:
        """GiB of the volume of each of its nodes."""
        size = dig(self.value, "volumeSize")
        return size if isinstance(size, int) else _DISK

    @property
    def room(self) -> dict[str, Fraction]:
        """What each of its nodes has for pods: of each resource, what its smallest type has."""
        most = dig(self.value, "maxPodsPerNode")
        rooms = [
            each.allocatable(
                self.disk,
                most if isinstance(most, int) else each.pods(by_prefix=self.cluster.gives_prefixes),
            )
            for each in self.types
        ]
        return {name: min(room[name] for room in rooms) for name in (rooms[0] if rooms else ())}

    def values_of(self, label: str) -> list[object] | None:
        """The values of a label that its nodes have; None where that is not known.

        Labels that the file gives are known, and those that EKS and the kubelet give. What a node
        is called, or what a driver finds out there, is not.
        """
        own_labels: dict[str, object] = dict(mapping(self.value, "labels"))
        if label in own_labels:
            return [own_labels[label]]
        cluster = self.cluster.value
        zones = items(self.value, "availabilityZones") or items(cluster, "availabilityZones")
        by_eks: dict[str, list[object] | None] = {
            "kubernetes.io/os": ["linux"],
            "kubernetes.io/arch": [each.architecture for each in self.types] or None,
            "kubernetes.io/hostname": None,
            "node.kubernetes.io/instance-type": [*self.instances.values()],
            "topology.kubernetes.io/region": [dig(cluster, "metadata", "region")],
            "topology.kubernetes.io/zone": zones or None,
            "topology.k8s.aws/zone-id": None,
            "eks.amazonaws.com/nodegroup": [self.name],
            "eks.amazonaws.com/capacityType": [
                "SPOT" if dig(self.value, "spot") is True else "ON_DEMAND"
            ],
            "alpha.eksctl.io/nodegroup-name": [self.name],
            "alpha.eksctl.io/cluster-name": [dig(cluster, "metadata", "name")],
        }
        found_there = self.cluster.finds_features and label.startswith(_FEATURES)
        return None if found_there else by_eks.get(label, [])

    def lacks(self, label: str, expected: object) -> bool:
        """Whether its nodes are known not to have a label of that value."""
        values = self.values_of(label)
        return values is not None and expected not in values

    def takes(self, spec: Value) -> bool:
        """Whether its nodes have the labels that a pod selects, or asks for by affinity.

        Nodes have more labels than the file gives them: what affinity says of others is not judged.
        """
        terms = items(spec, *_REQUIRED)
        labels = mapping(self.value, "labels")
        return not any(
            self.lacks(label, value) for label, value in mapping(spec, "nodeSelector").items()
        ) and (not terms or any(_has(labels, term) for term in terms))

    def holds(self, spec: Value) -> bool:
        """Whether pods may be on its nodes: as `takes` says, and they tolerate its taints."""
        tolerations = items(spec, "tolerations")
        return self.takes(spec) and all(
            any(tolerates(entry, taint) for entry in tolerations) for taint in self.taints
        )

    def describe(self) -> str:
        """Its size and its types, for a message."""
        nodes = f"{self.nodes} node{'s' if self.nodes != 1 else ''}"
        return f"node group {self.name}: {nodes} of {' or '.join(self.instances.values())}"

    def problem(self, message: str, *path: Key, to: object = None) -> Problem:
        """A problem of the group, at the line of ``path``; ``to`` would be right there."""
        of_group = self.cluster.problem(f"node group {self.name}: {message}", *self.path, *path)
        return of_group if to is None else replace(of_group, fix=set_at(of_group.location, to))

    def set(self, **sizes: int) -> Fix:
        """Other values for keys of the group."""
        at = self.cluster.document.at
        return sum((set_at(at((*self.path, key)), size) for key, size in sizes.items()), NOTHING)


@dataclass(frozen=True)
class Cluster:
    """The ClusterConfig of an environment."""

    project: Project
    environment: Environment
    document: Document

    @property
    def value(self) -> Value:
        return mapping(self.document.value)

    @property
    def gives_prefixes(self) -> bool:
        """Whether the network plugin gives a node prefixes of addresses: it takes more pods."""
        return any(
            _PREFIXES.search(text(addon, "configurationValues"))
            for addon in items(self.value, "addons")
            if text(addon, "name") == "vpc-cni"
        )

    @property
    def finds_features(self) -> bool:
        """Whether something labels nodes by what it finds on them, such as a GPU's product."""
        return any(
            chart(release) in ("node-feature-discovery", "gpu-operator")
            or release.dig("spec", "values", "gfd", "enabled") is True
            for release in self.environment.of("HelmRelease")
        )

    @property
    def groups(self) -> Iterator[NodeGroup]:
        for index in range(len(items(self.value, "managedNodeGroups"))):
            yield NodeGroup(self, ("managedNodeGroups", index))

    def problem(self, message: str, *path: Key, to: object = None) -> Problem:
        """A problem of the file, at the line of ``path``; ``to`` would be right there."""
        at, name = self.document.at(path), text(self.value, "metadata", "name")
        fix = NOTHING if to is None else set_at(at, to)
        return Problem(message, at, f"ClusterConfig/{name}", fix=fix)


def _has(labels: Value, term: object) -> bool:
    expressions = map(mapping, items(term, "matchExpressions"))
    return all(fits(each, labels) for each in expressions if text(each, "key") in labels)


def clusters(project: Project) -> Iterator[Cluster]:
    """The ClusterConfig of every environment that has one; local has none."""
    for environment in project.environments.values():
        for document in project.documents(f"clusters/{environment.name}/eksctl.yaml"):
            yield Cluster(project, environment, document)


def tolerates(entry: object, taint: object) -> bool:
    """https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/"""
    return (
        text(entry, "key") in ("", text(taint, "key"))
        and text(entry, "effect") in ("", text(taint, "effect"))
        and (
            text(entry, "operator") == "Exists"
            or text(entry, "value") == text(taint, "value") != ""
        )
    )
