"""The pods that objects make, and their containers: what most rules look at."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from harness.core.fix import NOTHING, Fix
from harness.core.problem import Problem
from harness.core.values import Key, KeyPath, Value, dig, items, mapping, text
from harness.policy.facts.quantity import quantity
from harness.policy.rule import problem
from harness.render.objects import Object
from harness.render.rendered import Environment

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod")
SERVERS = ("Deployment", "StatefulSet", "DaemonSet")  # they run until somebody stops them
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_GPU = re.compile(r"(nvidia|amd)\.com/gpu(\.shared)?|nvidia\.com/mig-(\d)g\..+|gpu\.intel\.com/.+")
_SLICES = 7  # of a GPU: a MIG device is named for how many it has
ENFORCE = "pod-security.kubernetes.io/enforce"
"""The label of a namespace that says which pod security standard holds in it."""

_ENDPOINT = "AWS_ENDPOINT_URL_S3"  # of another service that speaks S3

_TEMPLATE: dict[str, KeyPath] = {
    "Pod": (),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod; ``path`` leads to it inside the object."""

    owner: Object
    path: KeyPath
    init: bool

    @property
    def value(self) -> Value:
        return mapping(self.owner.value, *self.path)

    @property
    def name(self) -> str:
        return text(self.value, "name")

    @property
    def command(self) -> list[str]:
        """Command and arguments, as one list of words."""
        return [str(word) for key in ("command", "args") for word in items(self.value, key)]

    def dig(self, *path: Key) -> object:
        return dig(self.value, *path)

    def option(self, name: str) -> str | None:
        """The value of ``--name VALUE`` or ``--name=VALUE`` among its words."""
        words = self.command
        for index, word in enumerate(words):
            if word == name and index + 1 < len(words):
                return words[index + 1]
            if word.startswith(f"{name}="):
                return word.removeprefix(f"{name}=")
        return None

    def option_path(self, name: str) -> KeyPath:
        """Where an option of its command line is written, below it."""
        for key in ("command", "args"):
            for index, word in enumerate(map(str, items(self.value, key))):
                if word.partition("=")[0] == name:
                    return (key, index)
        return ("args",)

    def gpus(self, kind: str) -> dict[str, object]:
        """Its ``limits`` or ``requests`` of GPUs, by the name that the device plugin gives them."""
        resources = mapping(self.value, "resources", kind)
        return {name: each for name, each in resources.items() if _GPU.fullmatch(str(name))}

    def port(self, reference: object) -> int | None:
        """The number of the declared port that has this name or number."""
        for port in items(self.value, "ports"):
            number = dig(port, "containerPort")
            if reference in (number, text(port, "name")) and isinstance(number, int):
                return number
        return None

    def mount(self, path: str) -> tuple[int, Value] | None:
        """The volume mount that holds ``path``, and its index: the deepest one."""
        holding = [
            (index, mapping(mount))
            for index, mount in enumerate(items(self.value, "volumeMounts"))
            if Path(path).is_relative_to(text(mount, "mountPath") or "/-")
        ]
        return max(holding, key=lambda holder: len(text(holder[1], "mountPath")), default=None)

    def problem(self, message: str, *path: Key, to: object = None, fix: Fix = NOTHING) -> Problem:
        """A problem of this container, at ``path`` below it; ``to`` and ``fix`` repair it."""
        message = f"container {self.name}: {message}"
        return problem(self.owner, message, *self.path, *path, to=to, fix=fix)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod template (or a bare pod); ``path`` leads to it inside the object."""

    owner: Object
    path: KeyPath

    @property
    def spec(self) -> Value:
        return mapping(self.owner.value, *self.path, "spec")

    @property
    def labels(self) -> Value:
        return mapping(self.owner.value, *self.path, "metadata", "labels")

    @property
    def annotations(self) -> Value:
        return mapping(self.owner.value, *self.path, "metadata", "annotations")

    @property
    def containers(self) -> Iterator[Container]:
        """Init containers first, as they run."""
        for key in ("initContainers", "containers"):
            for index in range(len(items(self.spec, key))):
                path = (*self.path, "spec", key, index)
                yield Container(self.owner, path, init=key == "initContainers")

    @property
    def reads_s3(self) -> bool:
        """Whether a container is given something of AWS's S3 to read: it needs a role there."""
        return any(
            "s3://" in word
            for each in self.containers
            if _ENDPOINT not in [text(variable, "name") for variable in items(each.value, "env")]
            for word in each.command
        )

    @property
    def gpus(self) -> int:
        """How many GPUs it takes, or slices of them."""
        return int(sum(count for _, count in self._devices))

    @property
    def whole_gpus(self) -> Fraction:
        """How much of whole GPUs that is: of a MIG device's seven slices, those it has."""
        return sum((count * _share(name) for name, count in self._devices), Fraction(0))

    @property
    def _devices(self) -> Iterator[tuple[str, Fraction]]:
        for container in self.containers:
            for name, limit in container.gpus("limits").items():
                yield name, quantity(limit) or Fraction(0)

    def volume(self, name: str) -> tuple[int, Value] | None:
        """The volume of that name, and its index."""
        for index, volume in enumerate(items(self.spec, "volumes")):
            if text(volume, "name") == name:
                return index, mapping(volume)
        return None

    def labels_problem(self, message: str) -> Problem:
        """A problem of this pod's labels."""
        return problem(self.owner, message, *self.path, "metadata", "labels")

    def problem(self, message: str, *path: Key, to: object = None, fix: Fix = NOTHING) -> Problem:
        """A problem of this pod, at ``path`` below its spec; ``to`` and ``fix`` repair it."""
        return problem(self.owner, message, *self.path, "spec", *path, to=to, fix=fix)


def _share(device: str) -> Fraction:
    """How much of a GPU a device is; as many of a size fit as its slices go into seven."""
    named = _GPU.fullmatch(device)
    slices = int(named[3] or 0) if named else 0
    return Fraction(1, _SLICES // slices) if 0 < slices <= _SLICES else Fraction(1)


def pod(owner: Object) -> Pod:
    """The pod that a workload makes."""
    return Pod(owner, _TEMPLATE.get(owner.kind, ("spec", "template")))


def pods(environment: Environment, *kinds: str) -> Iterator[Pod]:
    """The pods of every workload of the environment, or of these kinds."""
    return map(pod, environment.of(*(kinds or WORKLOADS)))


def selects(selector: object, labels: Value) -> bool:
    """Whether a label selector (``matchLabels``, ``matchExpressions``) fits; an empty one does."""
    labels_to_match = mapping(selector, "matchLabels")
    return all(labels.get(key) == value for key, value in labels_to_match.items()) and all(
        fits(mapping(expression), labels) for expression in items(selector, "matchExpressions")
    )


def selects_older(selector: object, labels: Value) -> bool:
    """Whether a label selector fits, or would if a label that it wants absent were.

    Pods of an older chart lack labels that today's have: what is for them alone asks for that.
    """
    expressions = [
        each
        for each in items(selector, "matchExpressions")
        if text(each, "operator") != "DoesNotExist"
    ]
    return selects({**mapping(selector), "matchExpressions": expressions}, labels)


def fits(expression: Value, labels: Value) -> bool:
    """Whether labels are as one of ``matchExpressions`` asks."""
    key, values = text(expression, "key"), items(expression, "values")
    match text(expression, "operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def pods_of_service(service: Object, environment: Environment) -> list[Pod]:
    """The pods that a Service sends to; none without a selector."""
    selector = {"matchLabels": mapping(service.value, "spec", "selector")}
    return [
        candidate
        for candidate in pods(environment)
        if selector["matchLabels"]
        and candidate.owner.namespace == service.namespace
        and selects(selector, candidate.labels)
    ]


def pods_of_policy(policy: Object, environment: Environment) -> list[Pod]:
    """The pods that a NetworkPolicy selects."""
    return [
        candidate
        for candidate in pods(environment)
        if candidate.owner.namespace == policy.namespace
        and selects(policy.dig("spec", "podSelector"), candidate.labels)
    ]


def policies_of_pod(subject: Pod, environment: Environment) -> Iterator[Object]:
    """The NetworkPolicies that select a pod."""
    for policy in environment.of("NetworkPolicy"):
        if policy.namespace == subject.owner.namespace and selects(
            policy.dig("spec", "podSelector"), subject.labels
        ):
            yield policy


def window(probe: object) -> int:
    """Seconds until a probe that never succeeds has failed."""
    delay, period, failures = (
        value if isinstance(value := dig(probe, key), int) else default
        for key, default in (
            ("initialDelaySeconds", 0),
            ("periodSeconds", 10),
            ("failureThreshold", 3),
        )
    )
    return delay + period * failures
