"""The values of somebody's Helm chart, TorchServe's own among them: what each key is here."""

import shlex
from collections.abc import Iterator, Mapping

from harness.core.errors import Location
from harness.core.yamlfile import Document
from harness.importing import command_line, pods
from harness.importing.keys import KNOWN
from harness.importing.source import Remark, Setting, Source, join

Path_ = tuple[str | int, ...]

_UPSTREAM = "torchserve_image"  # a value that TorchServe's own chart alone has
_UPSTREAMS_COMMAND = (
    "torchserve --start --model-store /home/model-server/shared/model-store/ "
    "--ts-config /home/model-server/shared/config/config.properties"
)
"""Written in its template, whatever the values are."""
_UPSTREAMS_PODS = ("n_cpu", "memory_limit", "memory_request")
_UPSTREAMS_PLACES = (
    *("management_port", "inference_port", "metrics_port", "grpc_inference_port", "pvd_mount"),
)
_GATEWAY = "clients use the gateway, with TLS and tokens, at another address (docs/gateway.md)"
_STORE = (
    "the model store: give it with --store, mounted or copied; here archives come from the bucket"
)
_MONITORING = "infra/monitoring scrapes the launcher, port 8090"
_PLACES = {
    **dict.fromkeys(("ingress", "gateway", "httpRoute", "route", "virtualService"), _GATEWAY),
    **dict.fromkeys(
        ("persistence", "persistentVolume", "pvc", "nfs", "storage", "modelStore"), _STORE
    ),
    **dict.fromkeys(("modelPvc", "volumeClaim", "efs", "s3", "gcs"), _STORE),
    **dict.fromkeys(("serviceMonitor", "podMonitor", "metrics", "prometheus"), _MONITORING),
    **dict.fromkeys(
        ("pdb", "podDisruptionBudget"), "the chart's podDisruptionBudget: one pod at a time"
    ),
    "networkPolicy": "the chart's: the gateway and Prometheus come in, nothing goes out",
}
_VALUES = {
    **{key: key for key in ("nodeSelector", "tolerations", "affinity", "runtimeClassName")},
    **{key: key for key in ("priorityClassName", "imagePullSecrets", "podAnnotations")},
    **{key: key for key in ("podLabels", "podSecurityContext", "initContainers", "sidecars")},
    **{key: key for key in ("envFrom", "extraVolumes", "extraVolumeMounts")},
    "replicas": "replicas",
    "replicaCount": "replicas",
    "instance_count": "replicas",  # of an endpoint of Azure ML
    "minReplicas": "autoscaling.minReplicas",
    "maxReplicas": "autoscaling.maxReplicas",
    "serviceAccountName": "serviceAccount.name",
    "volumes": "extraVolumes",
    "volumeMounts": "extraVolumeMounts",
    "extraContainers": "sidecars",
}
_IMAGES = ("repository", "tag", "pullPolicy", "registry", "digest")
_PODS = {
    *("livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "strategy"),
    *("terminationGracePeriodSeconds", "updateStrategy", "topologySpreadConstraints"),
}
_MAPPINGS = {*_PLACES, *_VALUES, *_PODS, "resources", "service", "serviceAccount"}
_READ = {
    *("image", "args", "command", "env", "extraEnv", "extraEnvVars", "config", "configuration"),
    *(
        "nameOverride",
        "fullnameOverride",
        "name",
        "namespace",
        "enabled",
        "global",
        "securityContext",
    ),
}


def read(document: Document, values: Mapping[str, object], *, serves: bool) -> Source:
    """Read the values of a chart; nothing, if no key of them starts TorchServe."""
    upstream = _upstreams(document, values) if _UPSTREAM in values else Source()
    if _is_part_of_an_object(values) or not (serves or upstream.commands):
        return Source()
    remarks = [*_remarks(document, (), values)]
    named = [] if _UPSTREAM in values else list(_unknown(values))
    if named:
        why = "what its templates do with these values is not known: `helm template` and import "
        why += f"the result, to see all of it ({', '.join(named)})"
        remarks.append(Remark("values", why, document.at(tuple(named[0].split(".")))))
    return join((upstream, Source(remarks=tuple(remarks))))


def _is_part_of_an_object(values: Mapping[str, object]) -> bool:
    return bool({"kind", "spec", "containers"} & values.keys())


def _unknown(values: Mapping[str, object], path: tuple[str, ...] = ()) -> Iterator[str]:
    """The keys that only the chart's templates know."""
    for key, node in values.items():
        if key in _MAPPINGS | _READ or node in (None, "", [], {}) or (path and key in _IMAGES):
            continue
        if isinstance(node, Mapping):
            if not _is_component(node):
                yield from _unknown(node, (*path, str(key)))
        elif not (isinstance(node, str) and "\n" in node) and key not in KNOWN:
            yield ".".join((*path, str(key)))


def _is_component(node: Mapping[str, object]) -> bool:
    """Whether it is a part of the chart that has pods of its own, and none of TorchServe's."""
    return bool({"image", "resources", "containers"} & node.keys()) and "torchserve" not in str(
        node
    )


def _remarks(document: Document, where: Path_, node: Mapping[str, object]) -> Iterator[Remark]:
    for key, each in node.items():
        at = document.at((*where, key))
        off = isinstance(each, Mapping) and each.get("enabled", each.get("enable")) is False
        if not each or off:
            continue
        if isinstance(each, Mapping) and key not in _MAPPINGS:
            if not _is_component(each):
                yield from _remarks(document, (*where, key), each)
        else:
            yield from _remark(str(key), each, at)


def _remark(key: str, node: object, at: Location) -> Iterator[Remark]:
    """What becomes of a value that many charts have."""
    if place := _VALUES.get(key):
        yield pods.value(place, node, at, what=key)
    elif key == "resources":
        yield from pods.resources(node, at)
    elif key in _PLACES:
        yield Remark(key, _PLACES[key], at)
    elif key in _PODS:
        yield from pods.other(key, node, at)
    elif key == "serviceAccount" and isinstance(node, Mapping):
        account = {
            k: v for k, v in node.items() if k in ("name", "annotations", "create") and v != ""
        }
        if account.get("annotations") or account.get("name"):
            yield pods.value("serviceAccount", account, at)
    elif key == "service" and isinstance(node, Mapping):
        yield Remark(key, f"{_GATEWAY}: {node.get('type', 'ClusterIP')}", at)


def _upstreams(document: Document, values: Mapping[str, object]) -> Source:
    """TorchServe's own chart (``kubernetes/Helm``): its template has the command."""
    source = command_line.parse_words(shlex.split(_UPSTREAMS_COMMAND), document.at((_UPSTREAM,)))
    settings = values.get("torchserve")
    remarks: list[Remark] = []
    gpus: Setting | None = None
    for key, node in settings.items() if isinstance(settings, Mapping) else ():
        at: Location = document.at(("torchserve", key))
        if key in _UPSTREAMS_PODS:
            why = f"yours to add to helmrelease.yaml, as the chart's resources: {node}"
            remarks.append(Remark(key, why, at))
        elif key in _UPSTREAMS_PLACES:
            why = "the chart: its ports and paths are the same everywhere"
            remarks.append(Remark(key, why, at))
        elif key == "n_gpu":
            gpus = pods.count(key, node, at)
        else:
            remarks.append(
                Remark(key, "no value of TorchServe's chart: a fork's templates know it", at)
            )
    return join((source, Source(gpus=gpus, remarks=tuple(remarks))))
