"""Claims and volumes: which fit together, who mounts them from how many nodes, and who writes."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.problem import Problem
from harness.core.values import KeyPath, Value, dig, items, mapping, text
from harness.policy.facts import eks
from harness.policy.facts.origins import Origins
from harness.policy.facts.pods import SERVERS, Container, Pod, pods
from harness.policy.facts.quantity import quantity
from harness.policy.facts.references import closest
from harness.policy.facts.scale import replicas
from harness.policy.project import Project
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_SYNC = "model_sync"
_IN_TREE = "kubernetes.io/"  # of Kubernetes itself, and of none of them today
_ONE_NODE = {"ReadWriteOnce", "ReadWriteOncePod"}
_READ_ONLY = "ReadOnlyMany"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_EFS = "aws-efs-csi-driver"
# Which CSI driver an addon of EKS, or a chart, installs.
_DRIVERS = {
    "aws-ebs-csi-driver": "ebs.csi.aws.com",
    _EFS: "efs.csi.aws.com",
    "aws-fsx-csi-driver": "fsx.csi.aws.com",
    "aws-mountpoint-s3-csi-driver": "s3.csi.aws.com",
}


@dataclass(frozen=True, slots=True)
class _Mount:
    """A claim that a container mounts.

    Attributes:
        where: leads to the claim in the pod's spec.
        mount: what the container says about it.
    """

    container: Container
    pod: Pod
    where: KeyPath
    mount: Value
    claim: Object


def _mounts(environment: Environment) -> Iterator[_Mount]:
    for subject in pods(environment):
        for index, volume in enumerate(items(subject.spec, "volumes")):
            name = text(volume, "persistentVolumeClaim", "claimName")
            namespace = subject.owner.namespace
            claim = environment.find("PersistentVolumeClaim", name, namespace) if name else None
            for container in subject.containers if claim else ():
                for mount in items(container.value, "volumeMounts"):
                    if claim and text(mount, "name") == text(volume, "name"):
                        where = ("volumes", index, "persistentVolumeClaim")
                        yield _Mount(container, subject, where, mapping(mount), claim)


def _volume(environment: Environment, claim: Object) -> Object | None:
    """The volume of a claim: the one that it names, or that is kept for it."""
    if name := text(claim.value, "spec", "volumeName"):
        return environment.find("PersistentVolume", name)
    for volume in environment.of("PersistentVolume"):
        target = mapping(volume.value, "spec", "claimRef")
        if (text(target, "namespace"), text(target, "name")) == (claim.namespace, claim.name):
            return volume
    return None


@rule(
    "storage/binding",
    why="a claim binds only to a volume of its class, modes and size, or to one that its class "
    "makes; else it waits forever, and every pod that mounts it",
    fix="make storageClassName, accessModes, volumeMode and storage of claim and volume agree; a "
    "claim without a volume names a StorageClass that is there",
)
def binding(environment: Environment) -> Iterator[Problem]:
    for claim in environment.of("PersistentVolumeClaim"):
        if volume := _volume(environment, claim):
            yield from _fits(claim, volume)
        elif not text(claim.value, "spec", "volumeName"):
            yield from _class_makes_one(environment, claim)


def _fits(claim: Object, volume: Object) -> Iterator[Problem]:
    class_name, offered = (text(each.value, "spec", "storageClassName") for each in (claim, volume))
    if class_name != offered:
        message = f"wants class {class_name or '(default)'}, {volume.name} is {offered or '(none)'}"
        yield problem(claim, message, "spec", "storageClassName", to=offered)
    claim_mode, offered_mode = (
        text(each.value, "spec", "volumeMode") or "Filesystem" for each in (claim, volume)
    )
    if claim_mode != offered_mode:
        message = f"wants a {claim_mode} volume, {volume.name} is a {offered_mode} one"
        yield problem(claim, message, "spec", "volumeMode", to=offered_mode)
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


def _class_makes_one(environment: Environment, claim: Object) -> Iterator[Problem]:
    """Whether a class makes a volume for a claim: EKS itself has no default class since 1.30.

    https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions-standard.html
    """
    named = text(claim.value, "spec", "storageClassName")
    static = {
        text(each.value, "spec", "storageClassName") for each in environment.of("PersistentVolume")
    }
    classes = [
        each
        for each in environment.of("StorageClass")
        if each.name == named or (not named and each.annotations.get(_DEFAULT_CLASS) == "true")
    ]
    known = classes or (named and named in static)
    if not known and not Origins(environment).may_have("StorageClass", named, ""):
        what = f"StorageClass {named}" if named else "default StorageClass to make one"
        message = f"no volume is kept for it, and there is no {what}"
        missing = problem(claim, message, "spec", "storageClassName")
        release = environment.find("HelmRelease", claim.owner.name, claim.owner.namespace)
        if release and environment.is_of_chart(missing.location):
            at = release.at("spec", "values", "persistence")
            missing = dataclasses.replace(missing, location=at)
        yield missing


@rule(
    "storage/access-modes",
    why="a volume that one node may mount keeps the pods of all other nodes in ContainerCreating",
    fix="accessModes ReadWriteMany or ReadOnlyMany, of claim and volume, for what several pods "
    "mount",
)
def access_modes(environment: Environment) -> Iterator[Problem]:
    for mount in _mounts(environment):
        count = replicas(environment, mount.pod.owner)[1]
        modes = set(map(str, items(mount.claim.value, "spec", "accessModes")))
        if modes and modes <= _ONE_NODE and count > 1:
            message = (
                f"is {' and '.join(sorted(modes))}, {count} pods of {mount.pod.owner} mount it"
            )
            yield problem(mount.claim, message, "spec", "accessModes")


@rule(
    "storage/driver",
    why="a volume whose driver nobody installed is never mounted: its pods stay in "
    "ContainerCreating",
    fix="correct the driver's name, or add its addon to eksctl.yaml",
)
def drivers(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        environment = cluster.environment
        addons = {text(each, "name") for each in items(cluster.value, "addons")}
        charts = {
            text(each.value, "spec", "chart", "spec", "chart")
            for each in environment.of("HelmRelease")
        }
        installed = {_DRIVERS[each] for each in addons | charts if each in _DRIVERS}
        installed |= {each.name for each in environment.of("CSIDriver")}
        for kind, path in (
            ("PersistentVolume", ("spec", "csi", "driver")),
            ("StorageClass", ("provisioner",)),
        ):
            for each in environment.of(kind):
                name = text(each.value, *path)
                meant = closest(name, sorted(installed)) if name else ""
                # What another chart may install is unknown.
                # See cluster/addons, and storage/own-class.
                known = name in installed or name == _DRIVERS[_EFS] or name.startswith(_IN_TREE)
                if name and not known and not Origins(environment).has_unknown_chart:
                    message = f"nothing installs the driver {name}"
                    hint = f"; {meant} is meant?" if meant else ""
                    yield problem(each, message + hint, *path, to=meant or None)


@rule(
    "storage/writers",
    why="a sync Job that cannot write to the store fails, and every upgrade with it",
    fix="give the Job a claim of its own that can be written: modelStore.sync.existingClaim",
)
def writers_can_write(environment: Environment) -> Iterator[Problem]:
    for mount in _mounts(environment):
        if _SYNC in mount.container.command and not _takes_writes(environment, mount.claim):
            message = f"writes to {mount.claim.name}, which is read-only"
            yield mount.pod.problem(message, *mount.where, "claimName")


def _takes_writes(environment: Environment, claim: Object) -> bool:
    modes = set(map(str, items(claim.value, "spec", "accessModes")))
    return modes != {_READ_ONLY} and not _is_read_only(_volume(environment, claim))


def _is_read_only(volume: Object | None) -> bool:
    sources = mapping(volume and volume.value, "spec").values()
    return any(dig(source, "readOnly") is True for source in sources)


@rule(
    "storage/same-folder",
    why="a server that looks into another folder than the sync Job fills finds no archive; a "
    "folder that is not there keeps the container from starting",
    fix='modelStore.subPath: "" where servers and Job have access points of their own (that of the '
    "servers is the folder itself); else the folder that the Job writes",
)
def same_folder(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        mounts = list(_mounts(environment))
        loaders = [each for each in mounts if _SYNC in each.container.command]
        made_by_harness = bool(project.documents(f"clusters/{environment.name}/efs.yaml"))
        for server in mounts if loaders else ():
            folder = text(server.mount, "subPath")
            same = [each for each in loaders if each.claim is server.claim]
            if server.pod.owner.kind not in SERVERS or "$" in folder:
                continue
            filled = _folder_filled_by(same[0]) if same else folder
            if folder != filled and _takes_writes(environment, server.claim):
                message = f"looks into {folder or 'the whole volume'}, the sync Job fills {{}}"
                yield _sub_path_problem(server, message.format(filled))
            elif not same and folder and made_by_harness and _is_efs(environment, server.claim):
                message = f"looks into {folder} of an access point that is that folder itself"
                yield _sub_path_problem(server, message)


def _folder_filled_by(loader: _Mount) -> str:
    """The folder of its volume that a sync Job fills."""
    store = loader.container.option("--store") or ""
    inside = store.removeprefix(text(loader.mount, "mountPath")).strip("/")
    return "/".join(filter(None, (text(loader.mount, "subPath"), inside)))


def _is_efs(environment: Environment, claim: Object) -> bool:
    volume = _volume(environment, claim)
    handle = text(volume and volume.value, "spec", "csi", "volumeHandle")
    return "::fsap-" in handle


def _sub_path_problem(server: _Mount, message: str) -> Problem:
    mounts = items(server.container.value, "volumeMounts")
    index = next(i for i, each in enumerate(mounts) if each is server.mount)
    return server.container.problem(message, "volumeMounts", index, "subPath")


@rule(
    "storage/servers-read-only",
    why="a model is code: a server that can write to the store can change every other server",
    fix="mount the claim read-only, on an access point that is not the loader's; a claim that the "
    "loader does not share is ReadOnlyMany, or its volume readOnly",
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
    mounts = list(_mounts(environment))
    filled = {str(each.claim) for each in mounts if _SYNC in each.container.command}
    for mount in mounts if filled else ():
        is_server = mount.pod.owner.kind in SERVERS and str(mount.claim) not in filled
        is_known = _volume(environment, mount.claim) is not None
        if is_server and is_known and _takes_writes(environment, mount.claim):
            message = "only mounts keep the servers from writing to it"
            yield problem(mount.claim, message, "spec", "accessModes")
