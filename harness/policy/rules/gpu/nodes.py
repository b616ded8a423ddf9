"""GPU nodes: pods that ask for GPUs select nodes that have them, and find enough of them."""

import dataclasses
import difflib
from collections.abc import Iterator

from harness.core.fix import NOTHING, REMOVED, set_at
from harness.core.problem import Location, Problem
from harness.core.values import KeyPath, items, mapping, text
from harness.policy.facts import eks
from harness.policy.facts.capacity import Shortage, made_to_order, shortages
from harness.policy.facts.pods import Pod, pods
from harness.policy.facts.scale import counted_at, replicas
from harness.policy.project import Project
from harness.policy.recorded import instances
from harness.policy.recorded.instances import GPUS, InstanceType
from harness.policy.rule import rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_PRESENT = "nvidia.com/gpu.present"


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
    if subject.gpus and not offered and all(group.is_known for group in cluster.groups):
        message = f"no node group has GPUs, and {subject.owner} asks for one"
        yield cluster.problem(message, "managedNodeGroups")
    for label, expected in unmet:
        if (label, expected) == (_PRESENT, "true"):
            continue  # the pod is right, and the group lacks its label: cluster/gpu-nodes
        what = "GPU node group" if subject.gpus else "node group"
        message = f"selects {label}: {expected}, which no {what} of eksctl.yaml has"
        message += _nearest(offered, label, expected)
        yield _of_values(cluster, subject, label, message)
    taking = any(group.takes(subject.spec) for group in offered)
    if not unmet and ((subject.gpus and not selected) or (offered and not taking)):
        what = "no GPU node group" if subject.gpus else "no node group"
        where = "affinity" if mapping(subject.spec, "affinity", "nodeAffinity") else "nodeSelector"
        yield subject.problem(f"selects {what} of eksctl.yaml", where)


def _of_values(cluster: eks.Cluster, subject: Pod, label: str, message: str) -> Problem:
    """A problem of a label that a pod selects: at the value of which the chart made it."""
    unmet = subject.problem(message, "nodeSelector", label)
    release = _release(cluster.environment, subject)
    for key in ("nodeSelector", "gpuNodeLabels"):
        if release and release.dig("spec", "values", key, label) is not None:
            at = release.at("spec", "values", key, label)
            # Pods on GPUs select the label of GPU nodes by themselves.
            return dataclasses.replace(unmet, location=at, fix=set_at(at, REMOVED))
    return unmet


def _release(environment: Environment, subject: Pod) -> Object | None:
    owner = subject.owner.owner
    return environment.find("HelmRelease", owner.name, owner.namespace)


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
    "replicas, let pods make room for each other (rollout.maxSurge: 0), or choose a type with as "
    "many GPUs as one pod asks for",
)
def roll_out_fits(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        for short in shortages(cluster):
            if GPUS in short.lacking and (subject := short.demand.pod):
                yield _without_gpu(subject, short)


def _without_gpu(subject: Pod, short: Shortage) -> Problem:
    """Pods without a GPU: at their number, at the surge, or at how many GPUs each asks for."""
    environment = short.group.cluster.environment
    release = _release(environment, subject)
    path: KeyPath = ()
    fix = NOTHING
    if not short.fits_alone:
        message = f"a pod asks for {short.demand.needs[GPUS]} GPUs, a node has {short.room[GPUS]}"
        path = ("spec", "values", "gpus")
    else:
        message = (
            f"{short.waiting} of its pods find no GPU when all roll out: all pods ask for "
            f"{short.requested[GPUS]}, the nodes have {short.has[GPUS]}"
        )
        count = replicas(environment, subject.owner)[1]
        if 0 < short.demand.count - count >= short.waiting:
            path = ("spec", "values", "rollout", "maxSurge")
            if release and count > 1:
                fix = set_at(release.at(*path), REMOVED)  # the chart then takes 0
    message = f"{message} ({short.group.describe()})"
    short_of = Problem(message, counted_at(environment, subject.owner), str(subject.owner))
    if release and path and release.dig(*path) is not None:
        return dataclasses.replace(short_of, location=release.at(*path), fix=fix)
    return short_of


def _on_gpus(project: Project) -> Iterator[tuple[eks.Cluster, Pod]]:
    for cluster in eks.clusters(project):
        for subject in pods(cluster.environment):
            if subject.gpus:
                yield cluster, subject
