"""The volumes of somebody's pods: the model store, the settings, and those that a handler reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from harness.core.yamlfile import Document
from harness.importing import pods
from harness.importing.source import Remark

Path_ = tuple[str | int, ...]

STORE, CONFIG, SHM = "model-store", "config", "shm"  # volumes that the chart has too
_TOKENS, _SCRIPT, _HOST, _OTHER = "tokens", "script", "host", "other"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, its container that serves, and where that has config.properties and its store."""

    where: Path_
    spec: Mapping[str, object]
    container: Mapping[str, object]
    config: str
    store: str
    kinds: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Tell what each volume is for."""
        for _, each, mounts in self.volumes():
            self.kinds[str(each.get("name"))] = self._kind(each, mounts)

    def volumes(self) -> Iterator[tuple[int, Mapping[str, object], list[Mapping[str, object]]]]:
        """Each volume with its number, and its mounts in the container that serves."""
        listed = self.spec.get("volumes")
        for number, each in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(each, Mapping):
                name = each.get("name")
                mounts = pods.mappings(self.container.get("volumeMounts"))
                yield number, each, [mount for mount in mounts if mount.get("name") == name]

    def _kind(self, volume: Mapping[str, object], mounts: list[Mapping[str, object]]) -> str:
        paths = [str(mount.get("mountPath", "")).rstrip("/") for mount in mounts]
        is_text = "configMap" in volume or "secret" in volume
        if "/dev/shm" in paths:  # noqa: S108 - a mount's path
            return SHM
        if is_text and any(f"{self.config}/".startswith(f"{path}/") for path in paths):
            return CONFIG
        store = f"{self.store}/"
        if any(store.startswith(f"{path}/") or path.startswith(store) for path in paths):
            return STORE
        if any(path.endswith("key_file.json") for path in paths):
            return _TOKENS
        words = f"{self.container.get('command')} {self.container.get('args')}"
        if is_text and any(f"{path}/" in words for path in paths):
            return _SCRIPT
        return _HOST if "hostPath" in volume else _OTHER


_PLACES = {
    CONFIG: "the chart: config.properties is generated from serving.yaml",
    _TOKENS: "the gateway authenticates: one token for all pods (docs/gateway.md)",
    _SCRIPT: "the launcher starts TorchServe: what the script does was read",
}


def remarks(document: Document, pod: Pod) -> Iterator[Remark]:
    """What becomes of each volume."""
    for number, volume, mounts in pod.volumes():
        at = document.at((*pod.where, "volumes", number))
        name = f"volume {volume.get('name')}"
        kind = pod.kinds[str(volume.get("name"))]
        memory = volume.get("emptyDir")
        if kind == SHM:
            size = memory.get("sizeLimit") if isinstance(memory, Mapping) else None
            yield pods.value("sharedMemory", str(size or "1Gi"), at, what=name)
        elif kind == STORE:
            source = ", ".join(f"{k} {pods.short(v)}" for k, v in volume.items() if k != "name")
            why = (
                f"the model store ({source}): give it with --store, mounted or copied; its archives"
            )
            why += " go to the bucket, and from there to the environment's store"
            yield Remark(name, why, at)
        elif kind == _HOST:
            yield Remark(name, pods.REFUSED, at, lost=True)
        elif kind in _PLACES:
            yield Remark(name, _PLACES[kind], at)
        else:
            paths = ", ".join(str(mount.get("mountPath")) for mount in mounts)
            why = "yours to add to helmrelease.yaml, as the chart's extraVolumes"
            why += f" and extraVolumeMounts: {pods.short(volume)} at {paths}" if mounts else ""
            extra = {"extraVolumes": [volume], **({"extraVolumeMounts": mounts} if mounts else {})}
            yield Remark(name, why, at, values=extra)


def beside(pod: Pod, containers: list[object]) -> list[object]:
    """Other containers of the pod, with the chart's names for the volumes that it has too."""
    names = {name: kind for name, kind in pod.kinds.items() if kind in (STORE, CONFIG, SHM)}
    return [
        {
            **each,
            "volumeMounts": [
                {**mount, "name": names.get(str(mount.get("name")), mount.get("name"))}
                for mount in mounts
                if isinstance(mount, Mapping)
            ],
        }
        if isinstance(each, Mapping) and isinstance(mounts := each.get("volumeMounts"), list)
        else each
        for each in containers
    ]


def fills_store(pod: Pod, container: object) -> bool:
    """Whether a container that runs first has the model store, to fill it."""
    mounts = container.get("volumeMounts") if isinstance(container, Mapping) else None
    return isinstance(mounts, list) and any(
        pod.kinds.get(str(mount.get("name"))) == STORE
        for mount in mounts
        if isinstance(mount, Mapping)
    )
