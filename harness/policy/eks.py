"""An environment's eksctl.yaml, and what its instance types are."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.problem import Problem
from harness.core.values import Key, KeyPath, Value, dig, items, mapping, text
from harness.core.yamlfile import Document
from harness.policy.pods import fits
from harness.policy.project import Project
from harness.render.rendered import Environment

# GPUs of an instance by its size, for the families whose nodes run the pinned driver.
# https://aws.amazon.com/ec2/instance-types/ (G4dn, G5, G6, G6e: the same sizes but where named)
_SIZES = {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8, "metal": 8}
_FAMILIES = ("g4dn", "g5", "g6", "g6e")
_REQUIRED = (
    "affinity",
    "nodeAffinity",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "nodeSelectorTerms",
)
_NODES = 450  # of a managed node group at most: EKS's own quota
_OTHERS = {
    "p4d.24xlarge": 8,
    "p4de.24xlarge": 8,
    "p5.4xlarge": 1,
    "p5.48xlarge": 8,
    "p5e.48xlarge": 8,
}


def gpus(instance: str) -> int:
    """How many GPUs an EC2 instance type has; 0 for one without, or not known here."""
    family, _, size = instance.partition(".")
    if family in _FAMILIES:
        return _SIZES.get(size, 1)
    return _OTHERS.get(instance, 0)


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
    def instances(self) -> list[str]:
        return [text(self.value, "instanceType"), *map(str, items(self.value, "instanceTypes"))]

    @property
    def gpus(self) -> int:
        """GPUs of its smallest instance type that has any."""
        return min(filter(None, map(gpus, self.instances)), default=0)

    @property
    def taints(self) -> list[object]:
        """The taints that stay; a driver's own start-up taint is gone when pods are placed."""
        taints = items(self.value, "taints")
        return [taint for taint in taints if "agent-not-ready" not in text(taint, "key")]

    @property
    def nodes(self) -> int:
        """How many nodes it has: EKS keeps that many, and ``maxSize`` only bounds an autoscaler."""
        return self._size("desiredCapacity")

    @property
    def most(self) -> int:
        """How many nodes an autoscaler may give it."""
        return self._size("maxSize")

    def _size(self, key: str) -> int:
        size = dig(self.value, key)
        return min(size, _NODES) if isinstance(size, int) else 0

    def takes(self, spec: Value) -> bool:
        """Whether its nodes have the labels that a pod selects, or asks for by affinity.

        Nodes have more labels than the file gives them: what affinity says of others is not judged.
        """
        labels = mapping(self.value, "labels")
        terms = items(spec, *_REQUIRED)
        return mapping(spec, "nodeSelector").items() <= labels.items() and (
            not terms or any(_has(labels, term) for term in terms)
        )

    def problem(self, message: str, *path: Key) -> Problem:
        return self.cluster.problem(f"node group {self.name}: {message}", *self.path, *path)


@dataclass(frozen=True)
class Cluster:
    """The ClusterConfig of an environment."""

    environment: Environment
    document: Document

    @property
    def value(self) -> Value:
        return mapping(self.document.value)

    @property
    def groups(self) -> Iterator[NodeGroup]:
        for index in range(len(items(self.value, "managedNodeGroups"))):
            yield NodeGroup(self, ("managedNodeGroups", index))

    def problem(self, message: str, *path: Key) -> Problem:
        """A problem of the file, at the line of ``path``."""
        name = text(self.value, "metadata", "name")
        return Problem(message, self.document.at(path), f"ClusterConfig/{name}")


def _has(labels: Value, term: object) -> bool:
    expressions = map(mapping, items(term, "matchExpressions"))
    return all(fits(each, labels) for each in expressions if text(each, "key") in labels)


def clusters(project: Project) -> Iterator[Cluster]:
    """The ClusterConfig of every environment that has one; local has none."""
    for environment in project.environments.values():
        for document in project.documents(f"clusters/{environment.name}/eksctl.yaml"):
            yield Cluster(environment, document)


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
