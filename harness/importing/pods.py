"""What somebody's pods are given besides TorchServe: each key of a pod and its container, named.

A key that the chart has is named with the chart's value, written as helmrelease.yaml wants it; any
other one is the chart's ``podSpec``. So nothing of a pod is dropped without a word.
"""

import re
from collections.abc import Iterator, Mapping

from harness.core.errors import Location
from harness.core.yamlfile import Document
from harness.importing.keys import SECRET
from harness.importing.source import Remark, Setting

Path_ = tuple[str | int, ...]

_SAME = {
    *("nodeSelector", "tolerations", "affinity", "runtimeClassName", "priorityClassName"),
    *("imagePullSecrets", "podAnnotations", "podLabels", "podSecurityContext", "sidecars"),
    *("initContainers", "envFrom", "extraVolumes", "extraVolumeMounts", "sharedMemory"),
}
"""Values of the chart with the names and forms that they have in a pod."""
_SHARED = {"hostNetwork", "hostIPC", "hostPID", "hostPath", "privileged"}
REFUSED = "the namespace refuses it (pod security: restricted): what needs it fails here"
_ELSEWHERE = {
    "livenessProbe": "the launcher's /live: a worker that hangs counts (docs/probes.md)",
    "readinessProbe": "the launcher's /ready: ready once every model has its workers",
    "startupProbe": "the launcher's /startup, as long as startupTimeout of the models",
    "lifecycle": "the launcher drains: it answers what is in flight, then stops",
    "terminationGracePeriodSeconds": "the chart computes it from drainSeconds",
    "ports": "the chart: its ports and paths are the same everywhere",
    "topologySpreadConstraints": "the chart's topologySpread: over zones and nodes",
    "strategy": "the chart's rollout: one pod at a time, proved ready",
    "updateStrategy": "the chart's rollout: one pod at a time, proved ready",
    "imagePullPolicy": "the chart's image.pullPolicy: a digest never changes",
    "volumeClaimTemplates": "the chart's modelStore: all pods read one store (docs/efs.md)",
    "workingDir": "the launcher's working folder",
    "securityContext": "the chart's: not root, no capability; more under podSecurityContext",
    "restartPolicy": "always, as in any Deployment",
    "dnsPolicy": "the cluster's DNS",
    "hpa": "the chart's autoscaling (docs/autoscaling.md)",
    "supportedModelFormats": "KServe picks a runtime by it; here serving.yaml lists the models",
    "protocolVersions": "`protocols` of serving.yaml (docs/gateway.md)",
    "containerConcurrency": "job_queue_size: what it cannot hold is answered 503",
    "timeoutSeconds": "responseTimeout of each model, and requestTimeout of the gateway (130 s)",
    "stdin": "nobody is attached to it",
    "tty": "nobody is attached to it",
}
_READ = {"name", "command", "args", "env", "volumes", "volumeMounts", "resources", "image"}
_ANNOTATES = re.compile(r"prometheus\.|autoscaling\.knative\.")
"""Annotations for what does its work in another way here: infra/monitoring, autoscaling."""
_SECRET = "UNSET"  # noqa: S105 - in place of one
_SECRET_KEY = re.compile(r"(pass(word)?|token|api_?key|secret|credentials?)$", re.IGNORECASE)
_GPU = re.compile(r"[a-z0-9.-]+/(gpu|mig-[\w.]+|gpu\.shared)")


def gpus(limits: object) -> tuple[str, str] | None:
    """The resource that is a GPU among limits, and how many of it."""
    for key, node in limits.items() if isinstance(limits, Mapping) else ():
        if _GPU.fullmatch(str(key)) and str(node).isdecimal():
            return str(key), str(node)
    return None


def value(key: str, node: object, at: Location, *, what: str = "") -> Remark:
    """A value of the chart that is the user's to add."""
    node = _without_secrets(node)
    why = f"yours to add to helmrelease.yaml, as the chart's {key}: {short(node)}"
    return Remark(what or key.rpartition(".")[2], why, at, values=_nest(key.split("."), node))


def _without_secrets(node: object) -> object:
    """What is printed: no value of a variable or a key that is named like a secret."""
    if isinstance(node, list):
        return [_without_secrets(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    name = str(node.get("name", ""))
    return {
        key: _SECRET
        if isinstance(each, str)
        and (SECRET.search(name) if key == "value" else _SECRET_KEY.search(str(key)))
        else _without_secrets(each)
        for key, each in node.items()
    }


def _nest(keys: list[str], node: object) -> dict[str, object]:
    return {keys[0]: node if len(keys) == 1 else _nest(keys[1:], node)}


def resources(node: object, at: Location) -> Iterator[Remark]:
    """CPU, memory and GPUs, as the chart counts them."""
    if not isinstance(node, Mapping) or not any(
        isinstance(each, Mapping) for each in node.values()
    ):
        return
    counted = {
        kind: {str(k): str(v) for k, v in each.items() if not _GPU.fullmatch(str(k))}
        for kind, each in node.items()
        if kind in ("limits", "requests") and isinstance(each, Mapping)
    }
    gpu = gpus(node.get("limits")) or gpus(node.get("requests"))
    written: dict[str, object] = {}
    if any(counted.values()):
        limits, requests = counted.get("limits", {}), counted.get("requests", {})
        # The chart's own request may be above a limit that is given alone.
        written["resources"] = {"requests": {**limits, **requests}, "limits": limits}
    if gpu and gpu[0] != "nvidia.com/gpu":
        written["gpuResource"] = gpu[0]
    why = f"yours to add to helmrelease.yaml, as the chart's resources: {short(node)}"
    if gpu:
        why += f"; gpus: {gpu[1]} is written"
    yield Remark("resources", why, at, values=written)


def pod(document: Document, where: Path_, spec: Mapping[str, object]) -> Iterator[Remark]:
    """The keys of a pod, but for its containers and its volumes."""
    for key, node in spec.items():
        at = document.at((*where, key))
        if not node or key in ("volumes", "containers", "initContainers"):
            continue
        if key in ("serviceAccountName", "serviceAccount"):
            yield value("serviceAccount.name", node, at, what=key)
        elif key in ("securityContext", "annotations", "labels"):
            place = "pod" + key[0].upper() + key[1:]
            yield value(place, node, at, what=key)
        elif key in _SHARED:
            yield Remark(key, REFUSED, at, lost=True)
        else:
            yield from other(key, node, at)


def container(document: Document, where: Path_, node: Mapping[str, object]) -> Iterator[Remark]:
    """The keys of the container that serves."""
    for key, each in node.items():
        at = document.at((*where, key))
        if key in _READ or not each:
            continue
        context = each if isinstance(each, Mapping) else {}
        if key == "securityContext" and (
            context.get("privileged") or context.get("runAsUser") == 0
        ):
            yield Remark(key, REFUSED, at, lost=True)
        elif key in _ELSEWHERE or key in _SAME:
            yield from other(key, each, at)
        else:
            yield value(
                "podSpec", {"containers": [{"name": "torchserve", key: each}]}, at, what=key
            )


def other(key: str, node: object, at: Location) -> Iterator[Remark]:
    """A key that the chart has, does by itself, or takes in its podSpec."""
    if text := _ELSEWHERE.get(key):
        yield Remark(key, text, at)
    elif key in _SAME:
        yield value(key, node, at)
    else:
        yield value("podSpec", {key: node}, at, what=key)


def count(key: str, node: object, at: Location) -> Setting | None:
    """A whole number; none for anything else, such as compose's ``all`` or a template."""
    return Setting(key, str(node), at) if str(node).isdecimal() else None


def short(node: object) -> str:
    """The beginning of a piece of YAML, for a message."""
    text = re.sub(r"['\"{}\[\]]", "", str(node))
    return text if len(text) <= 60 else f"{text[:57]}…"


def workload(document: Document, path: Path_) -> Iterator[Remark]:
    """What makes a pod: how many, and the labels and annotations that it gives them."""
    if path[-2:] != ("template", "spec"):
        return
    for key, node in _inside(document.value, path[:-1]).items():
        if key == "metadata" and isinstance(node, Mapping):
            for name, place in (("labels", "podLabels"), ("annotations", "podAnnotations")):
                listed = node.get(name)
                entries = {
                    key: plain(each)
                    for key, each in (listed.items() if isinstance(listed, Mapping) else ())
                    if not _ANNOTATES.match(str(key))
                }
                if entries:
                    at = document.at((*path[:-1], key, name))
                    yield value(place, entries, at, what=f"{name} of the pods")
    for key, node in _inside(document.value, path[:-2]).items():
        at = document.at((*path[:-2], key))
        if key == "replicas":
            yield value("replicas", node, at)
        elif key in _ELSEWHERE:
            yield Remark(key, _ELSEWHERE[key], at)


def _inside(node: object, path: Path_) -> Mapping[str, object]:
    for key in path:
        node = node[key]  # type: ignore[index]
    return node if isinstance(node, Mapping) else {}


def variables(node: object) -> Iterator[tuple[str | int, str, str | None]]:
    """Each variable of Kubernetes' list, or of compose's list or mapping."""
    if isinstance(node, Mapping):
        for key, each in node.items():
            yield str(key), str(key), None if isinstance(each, Mapping) else plain(each)
    for number, each in enumerate(node if isinstance(node, list) else ()):
        if isinstance(each, Mapping) and "name" in each:
            text = plain(each["value"]) if "value" in each else None
            yield number, str(each["name"]), text
        elif isinstance(each, str):
            key, equals, text = each.partition("=")
            yield number, key, text if equals else None


def mappings(node: object) -> list[Mapping[str, object]]:
    """The mappings of a list; none of anything else."""
    return [each for each in node if isinstance(each, Mapping)] if isinstance(node, list) else []


def plain(node: object) -> str:
    """A scalar of YAML as a text."""
    return str(node).lower() if isinstance(node, bool) else "" if node is None else str(node)
