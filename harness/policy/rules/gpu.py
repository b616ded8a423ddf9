"""GPUs: whole, asked for in the one form that schedules, on nodes that are there."""

import difflib
from collections.abc import Iterator

from harness.core.problem import Location, Problem
from harness.core.values import dig, items, mapping, text
from harness.policy import eks, instances
from harness.policy.capacity import made_to_order, shortages
from harness.policy.instances import GPUS, InstanceType
from harness.policy.pods import WORKLOADS, Pod, pod, pods
from harness.policy.project import Project
from harness.policy.rule import problem, rule
from harness.policy.scale import number_of_pods
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
    fix="write one number: `gpus` in the HelmRelease's values is what a pod gets, numberOfGpu in "
    "serving.yaml what TorchServe uses of it (then `make snapshot`); both 0 is a pod on CPUs",
)
def number_of_gpu(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        gpus, setting = server.pod.gpus, server.setting("number_of_gpu") or "0"
        if setting != str(gpus):
            message = f"number_of_gpu is {setting}, but the pod has {gpus}"
            owner = server.pod.owner.owner
            release = environment.find("HelmRelease", owner.name, owner.namespace)
            # A number that the release gives itself is the one that somebody has just changed.
            if release and release.dig("spec", "values", "gpus") is not None:
                yield problem(release, message, "spec", "values", "gpus")
            else:
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
                if (
                    group.is_for_gpus
                    and group.takes(subject.spec)
                    and not any(
                        eks.tolerates(entry, taint) for entry in items(subject.spec, "tolerations")
                    )
                ):
                    key = text(taint, "key")
                    message = f"does not tolerate {key} of node group {group.name}"
                    yield subject.problem(message, "tolerations")


@rule(
    "gpu/node-selector",
    why="without a selector that GPU nodes carry, a pod waits forever or lands elsewhere; with one "
    "that no node group carries it waits forever",
    fix="select labels that a node group in clusters/<env>/eksctl.yaml has, for GPUs those of a "
    "group with GPUs; or give the group the label there",
)
def node_selector(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        reported: set[Location] = set()  # servers and their Jobs take one value
        for subject in pods(cluster.environment):
            for each in _selection(cluster, subject):
                if each.location not in reported:
                    reported.add(each.location)
                    yield each


def _selection(cluster: eks.Cluster, subject: Pod) -> Iterator[Problem]:
    """What is wrong with the node groups that a pod selects."""
    offered = [each for each in cluster.groups if not subject.gpus or each.is_for_gpus]
    selected = mapping(subject.spec, "nodeSelector")
    unmet = [
        (label, expected)
        for label, expected in selected.items()
        if offered and all(group.lacks(label, expected) for group in offered)
    ]
    if made_to_order(cluster.environment, subject.spec):
        return
    for label, expected in unmet:
        what = "GPU node group" if subject.gpus else "node group"
        message = f"selects {label}: {expected}, which no {what} of eksctl.yaml has"
        yield subject.problem(
            f"{message}{_nearest(offered, label, expected)}", "nodeSelector", label
        )
    taking = any(group.takes(subject.spec) for group in offered)
    if not unmet and ((subject.gpus and not selected) or (offered and not taking)):
        what = "no GPU node group" if subject.gpus else "no node group"
        yield subject.problem(f"selects {what} of eksctl.yaml", "nodeSelector")


def _nearest(groups: list[eks.NodeGroup], label: str, expected: object) -> str:
    """The label of a group that was probably meant, or its value there; empty without any."""
    for group in groups:
        if values := group.values_of(label):
            return f"; in node group {group.name} it is {' or '.join(map(str, values))}"
    carried = {
        f"{key}: {each}": group.name
        for group in groups
        for key, each in mapping(group.value, "labels").items()
    }
    near = difflib.get_close_matches(f"{label}: {expected}", carried, n=1, cutoff=0.4)
    return "".join(f"; node group {carried[key]} has {key}" for key in near or [*carried][:1])


@rule(
    "gpu/instance-type",
    why="the device plugin finds NVIDIA's GPUs alone and the serving image is amd64: on other "
    "nodes no pod that asks for a GPU ever starts",
    fix="choose a type with GPUs of NVIDIA and an x86 CPU (g4dn, g5, g6, g6e, p4, p5, …), or take "
    "the label and the taint nvidia.com/gpu from the group",
)
def instance_type(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        for group in cluster.groups:
            for path, name in group.instances.items():
                known = instances.find(name)
                if group.is_for_gpus and known and not known.runs_cuda:
                    yield group.problem(f"{name} has {_instead(known)}", *path)


def _instead(known: InstanceType) -> str:
    """What an instance type has where a GPU of NVIDIA on amd64 is wanted."""
    if not known.gpus:
        return "no GPU"
    if known.gpu_maker != "NVIDIA":
        return f"GPUs of {known.gpu_maker}, not NVIDIA's"
    return f"an Arm CPU ({known.architecture}), and the serving image is amd64"


@rule(
    "gpu/rollout-fits",
    why="a pod that finds no free GPU waits until the rollout times out; a node group stays at "
    "desiredCapacity, whatever its maxSize, unless something scales it",
    fix="raise desiredCapacity of the GPU node group (each node costs all the time), lower "
    "replicas, or let pods make room for each other: rollout.maxSurge: 0",
)
def roll_out_fits(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        for short in shortages(cluster):
            if GPUS in short.lacking and (subject := short.demand.pod):
                message = (
                    f"{short.waiting} of its pods find no GPU when all roll out: all pods ask for "
                    f"{short.requested[GPUS]}, the nodes have {short.has[GPUS]} "
                    f"({short.group.describe()})"
                )
                yield problem(subject.owner, message, *number_of_pods(subject.owner))


def _on_gpus(project: Project) -> Iterator[tuple[eks.Cluster, Pod]]:
    for cluster in eks.clusters(project):
        for subject in pods(cluster.environment):
            if subject.gpus:
                yield cluster, subject
