"""Storage classes: parameters that their driver reads, and none of a driver that is gone."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.suggest import did_you_mean
from harness.core.values import KeyPath, items, leaves, mapping, text
from harness.policy.facts.origins import Origins
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_OF_EKS = "gp2"
_IN_TREE = {"kubernetes.io/aws-ebs": "ebs.csi.aws.com"}
# What each driver reads of a class, in lower case; EBS's refuses any other, EFS's ignores it.
_PARAMETERS = {
    "ebs.csi.aws.com": {
        *("allowautoiopsincreaseonmodify", "allowautoiopspergbincrease", "blockexpress"),
        *("blocksize", "bytesperinode", "encrypted", "ext4bigalloc", "ext4clustersize", "fstype"),
        *("inodesize", "iops", "iopspergb", "kmskeyid", "numberofinodes", "throughput", "type"),
        *("ext4encryptionsupport", "volumeinitializationrate"),
    },
    "efs.csi.aws.com": {
        *("az", "basepath", "crossaccount", "directoryperms", "encryptintransit", "filesystemid"),
        *("ensureuniquedirectory", "gid", "gidrangeend", "gidrangestart", "provisioningmode"),
        *("reuseaccesspoint", "subpathpattern", "uid"),
    },
}
_OF_EVERY_DRIVER = ("csi.storage.k8s.io/", "tagspecification_")


@rule(
    "storage/class-parameters",
    why="a parameter that the driver does not know is refused with the first claim, or ignored: a "
    "disk that was to be encrypted is not",
    fix="the driver's own parameters: for ebs.csi.aws.com type, encrypted, kmsKeyId, iops, "
    "throughput; for efs.csi.aws.com provisioningMode, fileSystemId, directoryPerms",
    references=(
        "https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/parameters.md",
    ),
    kinds=("StorageClass",),
)
def class_parameters(storage_class: Object) -> Iterator[Problem]:
    driver = text(storage_class.value, "provisioner")
    known = _PARAMETERS.get(driver)
    kind = text(storage_class.value, "parameters", "type") or "gp3"
    for name in map(str, mapping(storage_class.value, "parameters") if known else ()):
        where = ("parameters", name)
        if name.lower() not in (known or ()) and not name.lower().startswith(_OF_EVERY_DRIVER):
            hint = did_you_mean(name.lower(), known or ())
            yield problem(storage_class, f"{driver} knows no parameter {name}{hint}", *where)
        elif name == "throughput" and kind != "gp3":
            yield problem(
                storage_class, f"a disk of type {kind} has no throughput to choose", *where
            )


@rule(
    "storage/own-class",
    why="EKS's own class gp2 is of a driver that Kubernetes no longer has: without the addon "
    "aws-ebs-csi-driver nothing makes its disks, with it they are not encrypted, and are deleted "
    "with their claim",
    fix="a StorageClass of this repository, such as gp3 of infra/monitoring: provisioner "
    "ebs.csi.aws.com, encrypted, reclaimPolicy Retain",
)
def own_class(environment: Environment) -> Iterator[Problem]:
    origins = Origins(environment)
    is_declared = environment.find("StorageClass", _OF_EKS) is not None
    for holder, path in _choices(environment) if origins.is_eks and not is_declared else ():
        if holder.dig(*path) == _OF_EKS:
            yield problem(holder, f"takes a disk of EKS's class {_OF_EKS}", *path)
    for each in environment.of("StorageClass") if origins.is_eks else ():
        provisioner = text(each.value, "provisioner")
        if provisioner in _IN_TREE:
            message = f"{provisioner} is not a driver of Kubernetes any more"
            yield problem(each, message, "provisioner", to=_IN_TREE[provisioner])


def _choices(environment: Environment) -> Iterator[tuple[Object, KeyPath]]:
    """Where a class may be chosen: in claims, in templates of claims, in values of charts."""
    for claim in environment.of("PersistentVolumeClaim"):
        yield claim, ("spec", "storageClassName")
    for each in environment.of("StatefulSet"):
        for index in range(len(items(each.value, "spec", "volumeClaimTemplates"))):
            yield each, ("spec", "volumeClaimTemplates", index, "spec", "storageClassName")
    for each in environment.of("Elasticsearch"):
        for number, group in enumerate(items(each.value, "spec", "nodeSets")):
            for index in range(len(items(group, "volumeClaimTemplates"))):
                where = ("nodeSets", number, "volumeClaimTemplates", index)
                yield each, ("spec", *where, "spec", "storageClassName")
    for release in Origins(environment).remote:
        for path, _ in leaves(release.dig("spec", "values"), ("spec", "values")):
            if path[-1] in ("storageClass", "storageClassName"):
                yield release, path
