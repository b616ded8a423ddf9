"""Storage: the model store is there, encrypted on its way, kept, and read-only where it serves."""

import re
from collections.abc import Iterator

from harness.core.fix import REMOVED
from harness.core.problem import Problem
from harness.core.values import items, text
from harness.policy.facts import eks
from harness.policy.project import Project
from harness.policy.rule import problem, rule
from harness.render.objects import Object

EFS = "efs.csi.aws.com"
_HANDLE = re.compile(r"(efs:)?fs-[0-9a-f]{8,17}::fsap-[0-9a-f]{8,17}")


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
        yield problem(volume, "mounts a path", *where, "volumeAttributes", "path", to=REMOVED)


@rule(
    "storage/efs-tls",
    why="NFS in the clear lets anyone on the network read models, or change what will be executed",
    fix='encryptInTransit: "true", among the volumeAttributes (of a class: leave it out)',
    kinds=("PersistentVolume", "StorageClass"),
)
def efs_tls(item: Object) -> Iterator[Problem]:
    where = ("spec", "csi", "volumeAttributes", "encryptInTransit")
    if text(item.value, "spec", "csi", "driver") == EFS and item.dig(*where) != "true":
        message = "does not say that it is encrypted in transit"
        yield problem(item, message, *where, to="true")
    # A class encrypts unless it says otherwise.
    of_class = ("parameters", "encryptInTransit")
    if text(item.value, "provisioner") == EFS and item.dig(*of_class) not in (None, "true"):
        yield problem(item, "makes volumes in the clear", *of_class, to="true")


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
        yield problem(item, f"is {item.dig(*path) or 'Delete'}d with its claim", *path, to="Retain")


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
