"""Kubernetes objects next to the one that serves: what takes the place of each here."""

from collections.abc import Iterator, Mapping

from harness.core.values import mapping
from harness.core.yamlfile import Document
from harness.importing import pods
from harness.importing.source import Remark

_GATEWAY = "clients use the gateway, with TLS and tokens, at another address: tell clients"
_MONITORING = "infra/monitoring scrapes the launcher, port 8090: its metrics, alerts and dashboards"
_STORE = "the environment's model store: archives come from its bucket (docs/models.md)"
_PLACES = {
    "Ingress": f"{_GATEWAY} (docs/gateway.md)",
    "Route": f"{_GATEWAY} (docs/gateway.md)",
    "HTTPRoute": f"{_GATEWAY} (docs/gateway.md)",
    "GRPCRoute": f"{_GATEWAY} (docs/gateway.md)",
    "Gateway": f"{_GATEWAY} (docs/gateway.md)",
    "VirtualService": f"{_GATEWAY} (docs/gateway.md)",
    "DestinationRule": f"{_GATEWAY} (docs/gateway.md)",
    "ServiceMonitor": _MONITORING,
    "PodMonitor": _MONITORING,
    "PodDisruptionBudget": "the chart's podDisruptionBudget: one pod at a time",
    "NetworkPolicy": "the chart's networkPolicy: the gateway and Prometheus come in, nothing goes "
    "out; who else has to goes under its inferenceFrom, metricsFrom and egress",
    "PersistentVolume": _STORE,
    "PersistentVolumeClaim": _STORE,
    "StorageClass": _STORE,
    "Namespace": "the namespace torchserve is the environment's",
    "Secret": "not read: its place is docs/secrets.md, and the chart's env or envFrom names it",
    "PrometheusRule": "its SLOs belong into loadtest.yaml, from which alerts are generated; "
    "other rules go into the chart's extraObjects",
}
_SCALERS = {
    "HorizontalPodAutoscaler": ("minReplicas", "maxReplicas"),
    "ScaledObject": ("minReplicaCount", "maxReplicaCount"),
}
_READ = {"ConfigMap", "List", "HelmRelease", "Application"}
NOT_SERVING = "does not start TorchServe: not imported; if TorchServe needs it, it stays yours"
_WORKLOADS = {
    *("Deployment", "StatefulSet", "DaemonSet", "Pod", "ReplicaSet", "Job", "CronJob"),
    *("ReplicationController", "InferenceService", "ServingRuntime", "ClusterServingRuntime"),
}


def is_object(node: object) -> bool:
    """Whether a document is an object of Kubernetes."""
    return isinstance(node, Mapping) and {"apiVersion", "kind"} <= node.keys()


def remarks(document: Document, node: Mapping[str, object], *, serves: bool) -> Iterator[Remark]:
    """What becomes of an object."""
    kind = str(node.get("kind"))
    metadata, spec = mapping(node, "metadata"), mapping(node, "spec")
    name = metadata.get("name", "")
    what, at = f"{kind} {name}".strip(), document.at(("kind",))
    if kind == "Service":
        exposed = spec.get("type") in ("LoadBalancer", "NodePort") or "externalIPs" in spec
        text = "the chart's Service, of its own name, for the gateway alone"
        yield Remark(what, f"{_GATEWAY} (docs/gateway.md)" if exposed else text, at)
    elif kind in _SCALERS:
        yield from _scaler(document, spec, what, _SCALERS[kind])
    elif kind == "ServiceAccount":
        if annotations := metadata.get("annotations"):
            yield pods.value("serviceAccount.annotations", annotations, at, what=what)
        else:
            yield Remark(what, "the chart makes the servers' account (serviceAccount)", at)
    elif kind in _PLACES:
        annotated = mapping(metadata, "annotations")
        names = ", ".join(str(key).rpartition("/")[2] for key in annotated)
        yield Remark(what, _PLACES[kind] + (f"; not taken over: {names}" if names else ""), at)
    elif kind in _WORKLOADS or serves:
        if not serves:
            yield Remark(what, NOT_SERVING, at)
        elif kind not in _WORKLOADS and kind not in _READ:
            why = (
                "the chart's Deployment in its place; what else it says is yours to map onto values"
            )
            yield Remark(what, why, at)
    elif kind not in _READ:
        yield pods.value("extraObjects", [dict(node)], at, what=what)


def _scaler(
    document: Document, spec: Mapping[str, object], what: str, keys: tuple[str, str]
) -> Iterator[Remark]:
    at = document.at(("kind",))
    low, high = (spec.get(key) for key in keys)
    limits = {"minReplicas": max(low, 1) if isinstance(low, int) else 1}
    limits |= {"maxReplicas": high} if isinstance(high, int) else {}
    kind = "keda" if keys[0] == "minReplicaCount" else "hpa"
    why = "yours to add to helmrelease.yaml, as the chart's autoscaling, in place of replicas: "
    why += f"{kind}, {limits['minReplicas']} to {high} pods (docs/autoscaling.md)"
    if low == 0:
        why += "; zero is not among them: nothing answers while the first pod loads its models"
    metrics = spec.get("metrics") or spec.get("triggers")
    if isinstance(metrics, list):
        names = sorted({str(each.get("type")) for each in metrics if isinstance(each, Mapping)})
        why += f"; its metrics ({', '.join(names)}) are yours to map onto the chart's"
    yield Remark(what, why, at, values={"autoscaling": {"kind": kind, **limits}})
