"""Resources: a pod says what it needs, so that the scheduler and the kernel can hold it to it."""

import re
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import dig, items, mapping, text
from harness.policy.facts.pods import WORKLOADS, pod
from harness.policy.facts.quantity import quantity
from harness.policy.rule import problem, rule
from harness.render.objects import Object

_ROUND = re.compile(r"\d+(\.\d+)?([kMGTPE]|[KMGTPE]i)")
# Bytes: TotalAnnotationSizeLimitB of k8s.io/apimachinery/pkg/api/validation.
_ANNOTATIONS = 256 << 10
_SMALLEST = 4 << 20  # bytes: less than any process of ours; a forgotten unit, not a wish


@rule(
    "resources/requests",
    why="a pod without requests is put on a full node and is the first to be evicted",
    fix="set requests.cpu, requests.memory and limits.memory",
    references=("NSA/CISA C-0270", "NSA/CISA C-0271"),
    kinds=WORKLOADS,
    like=(
        "kube-linter unset-cpu-requirements",
        "kube-score container-resources",
    ),
)
def requests(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        paths = (("requests", "cpu"), ("requests", "memory"), ("limits", "memory"))
        missing = [path for path in paths if container.dig("resources", *path) is None]
        if missing:
            message = f"has no {' and no '.join('.'.join(path) for path in missing)}"
            yield container.problem(message, "resources", missing[0][0])


@rule(
    "resources/memory-unit",
    why="`memory: 512m` is half a byte and `memory: 8` is eight: the pod is killed as it starts",
    fix="write memory with Mi or Gi",
    kinds=WORKLOADS,
)
def memory_unit(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        for kind in ("requests", "limits"):
            value = container.dig("resources", kind, "memory")
            size = quantity(value)
            if size is not None and (size < _SMALLEST or str(value).endswith("m")):
                yield container.problem(f"memory {value}", "resources", kind, "memory")


@rule(
    "resources/empty-dir-limit",
    why="an emptyDir without a limit fills the node's disk, and every pod of the node goes",
    fix="set emptyDir.sizeLimit, with a unit",
    kinds=WORKLOADS,
)
def empty_dir_limit(workload: Object) -> Iterator[Problem]:
    subject = pod(workload)
    for index, volume in enumerate(items(subject.spec, "volumes")):
        limit = dig(volume, "emptyDir", "sizeLimit")
        if dig(volume, "emptyDir") is not None and not _ROUND.fullmatch(str(limit)):
            name = dig(volume, "name")
            yield subject.problem(f"emptyDir {name} has no size limit", "volumes", index)


@rule(
    "resources/disk-volumes",
    why="the kubelet counts what lies in a pod's emptyDirs as its local disk: it evicts the pod at "
    "limits.ephemeral-storage, however large the volume may be",
    fix="raise ephemeral-storage (requests and limits) above the sum of the size limits of the "
    "emptyDirs on disk, or lower those",
    references=(
        "https://kubernetes.io/docs/concepts/storage/ephemeral-storage/#resource-emphemeralstorage-consumption",
    ),
    kinds=WORKLOADS,
)
def disk_volumes(workload: Object) -> Iterator[Problem]:
    subject = pod(workload)
    limits = [
        quantity(each.dig("resources", "limits", "ephemeral-storage"))
        for each in subject.containers
    ]
    allowed = sum(each for each in limits if each is not None)
    sizes = {
        index: size
        for index, volume in enumerate(items(subject.spec, "volumes"))
        if dig(volume, "emptyDir", "medium") != "Memory"
        and (size := quantity(dig(volume, "emptyDir", "sizeLimit")))
    }
    if sizes and limits and None not in limits and sum(sizes.values()) > allowed:
        largest = max(sizes, key=lambda index: sizes[index])
        total = float(sum(sizes.values())) / (1 << 30)
        message = f"its emptyDirs may take {total:g}Gi of disk, its containers only "
        message += f"{float(allowed) / (1 << 30):g}Gi"
        where = ("volumes", largest, "emptyDir", "sizeLimit")
        yield subject.problem(message, *where)


@rule(
    "resources/memory-volumes",
    why="what lies in a memory-backed volume counts as the container's memory: it is OOM-killed",
    fix="raise limits.memory above the sum of the memory-backed size limits",
    kinds=WORKLOADS,
)
def memory_volumes(workload: Object) -> Iterator[Problem]:
    subject = pod(workload)
    sizes = {
        text(volume, "name"): quantity(dig(volume, "emptyDir", "sizeLimit")) or 0
        for volume in items(subject.spec, "volumes")
        if dig(volume, "emptyDir", "medium") == "Memory"
    }
    for container in subject.containers:
        mounted = {text(mount, "name") for mount in items(container.value, "volumeMounts")}
        total = sum(size for name, size in sizes.items() if name in mounted)
        limit = quantity(container.dig("resources", "limits", "memory"))
        if limit is not None and total >= limit:
            message = "its memory-backed volumes may take all of limits.memory"
            largest = max((name for name in sizes if name in mounted), key=sizes.__getitem__)
            if sizes[largest] >= limit and (volume := subject.volume(largest)):
                where = ("volumes", volume[0], "emptyDir", "sizeLimit")
                yield subject.problem(f"container {container.name}: {message}", *where)
            else:
                yield container.problem(message, "resources", "limits", "memory")


@rule(
    "resources/annotations",
    why="Kubernetes keeps 256 KiB of annotations for an object, names included: it refuses one "
    "that has more",
    fix="take something out: the settings of fewer models in a server, for one",
)
def annotations(item: Object) -> Iterator[Problem]:
    for path in ((), *((pod(item).path,) if item.kind in WORKLOADS else ())):
        entries = mapping(item.value, *path, "metadata", "annotations")
        size = sum(len(f"{key}{value}".encode()) for key, value in entries.items())
        if size > _ANNOTATIONS:
            yield problem(item, f"has {size:,} bytes of annotations", *path, "metadata")
