"""GPUs: whole, asked for in the one form that schedules, on nodes that are there."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from harness.core.problem import Problem
from harness.core.values import dig, items, mapping, text
from harness.policy import eks
from harness.policy.graph import chart
from harness.policy.pods import WORKLOADS, Pod, pod, pods
from harness.policy.project import Project
from harness.policy.rule import problem, rule
from harness.policy.scale import number_of_pods, replicas, rollout
from harness.policy.serving import servers
from harness.render.objects import Object
from harness.render.rendered import Environment


@rule(
    "gpu/whole",
    why="the device plugin hands out whole GPUs, and strict schemas refuse the bare number",
    fix='write nvidia.com/gpu: "1" (or nvidia.com/mig-1g.5gb: "1"): a whole number in quotes',
    kinds=WORKLOADS,
    like=("the API server",),
)
def whole(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        for kind in ("limits", "requests"):
            for name, value in container.gpus(kind).items():
                if not (isinstance(value, str) and value.isdecimal()):
                    message = f"{name}: {value} is not a quoted whole number"
                    yield container.problem(message, "resources", kind, name)


@rule(
    "gpu/limits-equal-requests",
    why="an extended resource cannot be overcommitted: the API server refuses the pod",
    fix="set limits and requests of nvidia.com/gpu to the same number",
    references=("NSA/CISA C-0271",),
    kinds=WORKLOADS,
    like=("the API server",),
)
def limits_equal_requests(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        limits, requests = container.gpus("limits"), container.gpus("requests")
        for name in sorted(limits.keys() | requests.keys()):
            limit, request = limits.get(name), requests.get(name)
            if str(limit) != str(request):
                message = f"requests {request} of {name}, but its limit is {limit}"
                yield container.problem(message, "resources")


@rule(
    "gpu/visible-devices",
    why="NVIDIA_VISIBLE_DEVICES and LD_PRELOAD go around the device plugin: the pod sees GPUs "
    "that belong to others",
    fix="remove the variable and ask for nvidia.com/gpu",
    references=("NSA/CISA C-0055",),
    kinds=WORKLOADS,
)
def visible_devices(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        for index, variable in enumerate(items(container.value, "env")):
            if text(variable, "name") in ("NVIDIA_VISIBLE_DEVICES", "LD_PRELOAD"):
                message = f"sets {text(variable, 'name')}"
                yield container.problem(message, "env", index, "name")


@rule(
    "gpu/shared-memory",
    why="PyTorch's workers share tensors through /dev/shm, which is 64 MiB unless mounted",
    fix="mount an emptyDir {medium: Memory, sizeLimit: …} at /dev/shm",
)
def shared_memory(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        _, mount = server.container.mount("/dev/shm") or (0, {})  # noqa: S108
        _, volume = server.pod.volume(text(mount, "name")) or (0, {})
        if dig(volume, "emptyDir", "medium") != "Memory":
            yield server.container.problem("has no /dev/shm in memory", "volumeMounts")


@rule(
    "gpu/number-of-gpu",
    why="TorchServe spreads its workers over number_of_gpu: too few leave a paid GPU idle, "
    "too many are dropped without a word",
    fix="make number_of_gpu in serving.yaml equal the container's nvidia.com/gpu, then "
    "`make snapshot`",
)
def number_of_gpu(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        gpus, setting = server.pod.gpus, server.setting("number_of_gpu") or "0"
        if setting != str(gpus):
            message = f"number_of_gpu is {setting}, but the pod has {gpus}"
            yield server.problem(message, "number_of_gpu")


@rule(
    "gpu/toleration",
    why="the GPU nodes are tainted so that nothing else fills them: this pod stays Pending",
    fix="add a toleration for the node group's taint",
)
def toleration(project: Project) -> Iterator[Problem]:
    for cluster, subject in _on_gpus(project):
        for group in cluster.groups:
            for taint in group.taints:
                if group.gpus and not any(
                    eks.tolerates(entry, taint) for entry in items(subject.spec, "tolerations")
                ):
                    key = text(taint, "key")
                    message = f"does not tolerate {key} of node group {group.name}"
                    yield subject.problem(message, "tolerations")


@rule(
    "gpu/node-selector",
    why="without a selector that GPU nodes carry, a pod waits forever or lands elsewhere",
    fix="select a label of the GPU node group in clusters/<env>/eksctl.yaml",
)
def node_selector(project: Project) -> Iterator[Problem]:
    for cluster, subject in _on_gpus(project):
        groups = [group for group in cluster.groups if group.gpus and group.takes(subject.spec)]
        if not (mapping(subject.spec, "nodeSelector") and groups):
            yield subject.problem("selects no GPU node group of eksctl.yaml", "nodeSelector")


@rule(
    "gpu/rollout-fits",
    why="a pod that finds no free GPU waits until the rollout times out; a node group stays at "
    "desiredCapacity, whatever its maxSize, unless something scales it",
    fix="raise desiredCapacity of the GPU node group (each node costs all the time), lower "
    "replicas, or let pods make room for each other: rollout.maxSurge: 0",
)
def roll_out_fits(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        environment, groups = cluster.environment, [each for each in cluster.groups if each.gpus]
        grows = _has_autoscaler(environment)
        nodes = [
            Node(group, Fraction(group.gpus))
            for group in groups
            for _ in range(group.most if grows else group.nodes)
        ]
        has = sum(node.free for node in nodes)
        asking = [
            subject
            for subject in pods(environment)
            if subject.gpus > 0 and subject.owner.kind != "DaemonSet"  # it comes with the node
            if any(group.takes(subject.spec) for group in groups)  # else: gpu/node-selector
        ]
        # At best: the largest pods first, each on the fullest node with room for it.
        asking.sort(key=lambda each: each.whole_gpus, reverse=True)
        rolling = [rollout(each.owner, replicas(environment, each.owner)[1]) for each in asking]
        most = [each.replicas + each.surge for each in rolling]
        all_gpus = sum(number * each.whole_gpus for number, each in zip(most, asking, strict=True))
        for subject, number in zip(asking, most, strict=True):
            waiting = number
            while waiting > 0 and _place(subject, nodes):
                waiting -= 1
            if waiting > 0 and not _has_node_pool(environment, subject):
                message = (
                    f"{waiting} of its pods find no GPU when all roll out: "
                    f"all pods ask for {all_gpus}, the nodes have {has}"
                )
                yield problem(subject.owner, message, *number_of_pods(subject.owner))


@dataclass
class Node:
    """A node of a group, and how many of its GPUs are free."""

    group: eks.NodeGroup
    free: Fraction


def _place(subject: Pod, nodes: list[Node]) -> bool:
    """Whether one more of these pods finds its GPUs; the node's are taken then."""
    size = subject.whole_gpus
    fit = [each for each in nodes if each.free >= size and each.group.takes(subject.spec)]
    if fit:
        min(fit, key=lambda node: node.free).free -= size
    return bool(fit)


def _has_autoscaler(environment: Environment) -> bool:
    """Whether the cluster autoscaler is there, which grows node groups up to maxSize."""
    charts = map(chart, environment.of("HelmRelease"))
    images = (text(each.value, "image") for pod in pods(environment) for each in pod.containers)
    return any("cluster-autoscaler" in each for each in (*charts, *images))


def _has_node_pool(environment: Environment, subject: Pod) -> bool:
    """Whether a NodePool (of Karpenter, or of EKS Auto Mode) makes nodes that a pod selects."""
    selector = mapping(subject.spec, "nodeSelector")
    templates = (mapping(each.value, "spec", "template") for each in environment.of("NodePool"))
    return bool(selector) and any(
        selector.items() <= mapping(template, "metadata", "labels").items()
        for template in templates
    )


def _on_gpus(project: Project) -> Iterator[tuple[eks.Cluster, Pod]]:
    for cluster in eks.clusters(project):
        for subject in pods(cluster.environment):
            if subject.gpus:
                yield cluster, subject
