"""Storage: the model store is there, encrypted on its way, kept, and read-only where it serves."""

import re
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import dig, items, text
from harness.policy import eks
from harness.policy.pods import SERVERS, pods
from harness.policy.project import Project
from harness.policy.quantity import quantity
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

EFS = "efs.csi.aws.com"
_HANDLE = re.compile(r"(efs:)?fs-[0-9a-f]{8,17}::fsap-[0-9a-f]{8,17}")


@rule(
    "storage/binding",
    why="a claim binds only to a volume of its class, modes and size; else it waits forever",
    fix="make storageClassName, accessModes and storage of claim and volume agree",
)
def binding(environment: Environment) -> Iterator[Problem]:
    for claim in environment.of("PersistentVolumeClaim"):
        name = text(claim.value, "spec", "volumeName")
        if name and (volume := environment.find("PersistentVolume", name)):
            yield from _fits(claim, volume)


def _fits(claim: Object, volume: Object) -> Iterator[Problem]:
    class_name, offered = (text(item.value, "spec", "storageClassName") for item in (claim, volume))
    if class_name != offered:
        message = f"wants class {class_name or '(default)'}, {volume.name} is {offered or '(none)'}"
        yield problem(claim, message, "spec", "storageClassName")
    for mode in items(claim.value, "spec", "accessModes"):
        if mode not in items(volume.value, "spec", "accessModes"):
            yield problem(claim, f"{volume.name} is not {mode}", "spec", "accessModes")
    requested = quantity(claim.dig("spec", "resources", "requests", "storage"))
    if (requested or 0) > (quantity(volume.dig("spec", "capacity", "storage")) or 0):
        message = f"asks for more than {volume.name} has"
        yield problem(claim, message, "spec", "resources", "requests", "storage")
    target = volume.dig("spec", "claimRef")
    if target is not None and (text(target, "namespace"), text(target, "name")) != (
        claim.namespace,
        claim.name,
    ):
        message = f"is kept for {text(target, 'namespace')}/{text(target, 'name')}"
        yield problem(volume, message, "spec", "claimRef")


@rule(
    "storage/efs-access-point",
    why="without an access point a pod sees the whole file system, as whatever user it claims",
    fix="volumeHandle: fs-…::fsap-…, and no `path`",
    kinds=("PersistentVolume",),
)
def efs_access_point(volume: Object) -> Iterator[Problem]:
    if text(volume.value, "spec", "csi", "driver") != EFS:
        return
    where = ("spec", "csi")
    if not _HANDLE.fullmatch(text(volume.value, *where, "volumeHandle")):
        message = f"{volume.dig(*where, 'volumeHandle')} names no access point"
        yield problem(volume, message, *where, "volumeHandle")
    if volume.dig(*where, "volumeAttributes", "path") is not None:
        yield problem(volume, "mounts a path", *where, "volumeAttributes", "path")


@rule(
    "storage/efs-tls",
    why="NFS in the clear lets anyone on the network read models, or change what will be executed",
    fix='volumeAttributes: {encryptInTransit: "true"}',
    kinds=("PersistentVolume",),
)
def efs_tls(volume: Object) -> Iterator[Problem]:
    where = ("spec", "csi", "volumeAttributes", "encryptInTransit")
    if text(volume.value, "spec", "csi", "driver") == EFS and volume.dig(*where) != "true":
        yield problem(volume, "does not say that it is encrypted in transit", *where)


@rule(
    "storage/retain",
    why="a claim deleted by mistake would take every model with it",
    fix="set persistentVolumeReclaimPolicy (reclaimPolicy of a class) to Retain",
    kinds=("PersistentVolume", "StorageClass"),
)
def retain(item: Object) -> Iterator[Problem]:
    volume = item.kind == "PersistentVolume"
    path = ("spec", "persistentVolumeReclaimPolicy") if volume else ("reclaimPolicy",)
    if item.dig(*path) != "Retain":
        yield problem(item, f"is {item.dig(*path) or 'Delete'}d with its claim", *path)


@rule(
    "storage/servers-read-only",
    why="a model is code: a server that can write to the store can change every other server",
    fix="mount the claim read-only, on an access point that is not the loader's",
    references=("NSA/CISA C-0017",),
)
def servers_read_only(environment: Environment) -> Iterator[Problem]:
    for subject in pods(environment, *SERVERS):
        for index, volume in enumerate(items(subject.spec, "volumes")):
            source = dig(volume, "persistentVolumeClaim")
            if source is not None and dig(source, "readOnly") is not True:
                message = f"volume {text(volume, 'name')} is writable"
                yield subject.problem(message, "volumes", index, "persistentVolumeClaim")
    handles: dict[str, str] = {}
    for persistent in environment.of("PersistentVolume"):
        handle = text(persistent.value, "spec", "csi", "volumeHandle")
        if handle and handle in handles:
            message = f"is the access point of {handles[handle]} too"
            yield problem(persistent, message, "spec", "csi", "volumeHandle")
        handles[handle] = persistent.name


@rule(
    "storage/one-efs-driver",
    why="two installations of a CSI driver fight over its socket on every node",
    fix="keep the addon in eksctl.yaml and remove the HelmRelease",
)
def one_efs_driver(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        addons = [text(each, "name") for each in items(cluster.value, "addons")]
        for release in cluster.environment.of("HelmRelease"):
            chart = text(release.value, "spec", "chart", "spec", "chart")
            if chart == "aws-efs-csi-driver" and chart in addons:
                yield problem(release, "the EFS driver is an addon already", "spec", "chart")
