"""GPUs: whole, asked for in the one form that schedules, on nodes that are there."""

import math
from collections.abc import Iterator

from harness.policy import eks
from harness.policy.finding import Problem
from harness.policy.pods import WORKLOADS, Pod, pod, pods
from harness.policy.project import Project
from harness.policy.quantity import number, quantity
from harness.policy.rule import problem, rule
from harness.policy.serving import servers
from harness.render.objects import Environment, Object, dig, items, mapping, text

GPU = "nvidia.com/gpu"


def _gpus(subject: Pod) -> int:
    """How many GPUs a pod takes."""
    limits = (quantity(c.dig("resources", "limits", GPU)) for c in subject.containers)
    return int(sum(limit or 0 for limit in limits))


@rule(
    "gpu/whole",
    why="the device plugin hands out whole GPUs, and strict schemas refuse the bare number",
    fix='write nvidia.com/gpu: "1": a whole number in quotes',
    kinds=WORKLOADS,
)
def whole(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        for kind in ("limits", "requests"):
            value = container.dig("resources", kind, GPU)
            if value is not None and not (isinstance(value, str) and value.isdecimal()):
                message = f"{GPU}: {value} is not a quoted whole number"
                yield container.problem(message, "resources", kind, GPU)


@rule(
    "gpu/limits-equal-requests",
    why="an extended resource cannot be overcommitted: the API server refuses the pod",
    fix="set limits and requests of nvidia.com/gpu to the same number",
    clauses=("NSA/CISA C-0271",),
    kinds=WORKLOADS,
)
def limits_equal_requests(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        limit = container.dig("resources", "limits", GPU)
        request = container.dig("resources", "requests", GPU)
        if str(limit) != str(request):
            message = f"requests {request} GPUs, but its limit is {limit}"
            yield container.problem(message, "resources")


@rule(
    "gpu/visible-devices",
    why="NVIDIA_VISIBLE_DEVICES and LD_PRELOAD go around the device plugin: the pod sees GPUs "
    "that belong to others",
    fix="remove the variable and ask for nvidia.com/gpu",
    clauses=("NSA/CISA C-0055",),
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
        has, told = _gpus(server.pod), server.setting("number_of_gpu") or "0"
        if told != str(has):
            message = f"number_of_gpu is {told}, but the pod has {has}"
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
    why="without a selector that GPU nodes carry, a pod waits for ever or lands elsewhere",
    fix="select a label of the GPU node group in clusters/<env>/eksctl.yaml",
)
def node_selector(project: Project) -> Iterator[Problem]:
    for cluster, subject in _on_gpus(project):
        wanted = mapping(subject.spec, "nodeSelector")
        labels = [mapping(group.value, "labels") for group in cluster.groups if group.gpus]
        if not wanted or not any(wanted.items() <= group.items() for group in labels):
            yield subject.problem("selects no GPU node group of eksctl.yaml", "nodeSelector")


@rule(
    "gpu/roll-out-fits",
    why="a roll-out needs a GPU for each surging pod: with none free it waits until it times out",
    fix="raise maxSize of the GPU node group, or lower replicas or maxSurge",
)
def roll_out_fits(project: Project) -> Iterator[Problem]:
    for cluster, subject in _on_gpus(project):
        each = _gpus(subject)
        there = sum(group.gpus // each * group.nodes for group in cluster.groups)
        replicas = subject.owner.dig("spec", "replicas")
        replicas = replicas if isinstance(replicas, int) else 1
        surge = _surge(subject.owner, replicas)
        if replicas + surge > there:
            message = f"{replicas} replicas and {surge} surging need more GPUs than {there} pods"
            yield problem(subject.owner, f"{message} can have", "spec", "replicas")


def _surge(deployment: Object, replicas: int) -> int:
    """How many pods a roll-out starts before it stops old ones; Kubernetes rounds up."""
    if deployment.dig("spec", "strategy", "type") == "Recreate":
        return 0
    surge = deployment.dig("spec", "strategy", "rollingUpdate", "maxSurge")
    share = "25%" if surge is None else str(surge)
    if share.endswith("%"):
        return math.ceil(replicas * number(share[:-1], 25) / 100)
    return int(number(share, 1))


def _on_gpus(project: Project) -> Iterator[tuple[eks.Cluster, Pod]]:
    for cluster in eks.clusters(project):
        for subject in pods(cluster.environment):
            if _gpus(subject):
                yield cluster, subject
