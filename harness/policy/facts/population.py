"""The pods of an environment: those of its own workloads, and the gateway's, which no file has."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from harness.core.values import Value, dig, items, mapping, text
from harness.policy.facts.graph import chart, releases_of
from harness.policy.facts.origins import Origins, misspelt
from harness.policy.facts.pods import pods, selects
from harness.render.objects import Object
from harness.render.rendered import Environment

NAME = "kubernetes.io/metadata.name"
"""The label that Kubernetes gives every namespace."""

PROMETHEUS = "kube-prometheus-stack"
"""The chart that brings Prometheus, Alertmanager and their operator."""

_OWNING = "gateway.envoyproxy.io/owning-gateway"
_ENVOY = "gateway.envoyproxy.io/"
_CONTROLLER = ("envoy-gateway", "gateway-helm")  # names of its chart
# The names of ports that pods have which no file here shows: of proxies, of Flux's controllers, of
# third-party charts as their templates name them.
FLUX_SERVICES = ("notification-controller", "source-controller", "webhook-receiver")
"""The Services that Flux brings: each has port 80."""

_PROXY_PORTS = ("metrics", "readiness")
_FLUX_PORTS = ("healthz", "http", "http-prom", "http-webhook")
_OF_GATEWAY = ("grpc", "metrics", "ratelimit", "wasm")
_CHART_PORTS: dict[str, tuple[str, ...]] = {
    "cert-manager": ("healthcheck", "http-healthz", "http-metrics", "https"),
    "dcgm-exporter": ("metrics",),
    "flux-operator": ("http-metrics", "http-web", "health", "http"),
    "nvidia-device-plugin": (),
    **dict.fromkeys(_CONTROLLER, _OF_GATEWAY),
}

_STORES = {
    "Elasticsearch": "elasticsearch.k8s.elastic.co/cluster-name",
    "Kibana": "kibana.k8s.elastic.co/name",
}


@dataclass(frozen=True, slots=True)
class Resident:
    """A pod, or as many as its workload makes.

    Attributes:
        is_proxy: whether it is a proxy of ``owner``, which is a Gateway then.
    """

    owner: Object
    namespace: str
    labels: Mapping[str, object]
    is_proxy: bool = False

    def __str__(self) -> str:
        return f"the proxies of {self.owner}" if self.is_proxy else str(self.owner)


@dataclass(frozen=True)
class Population:
    """Every pod that is known, and whether there may be others."""

    environment: Environment

    @cached_property
    def origins(self) -> Origins:
        return Origins(self.environment)

    @cached_property
    def residents(self) -> list[Resident]:
        """The pods of workloads, the proxies and their controller, and stores of logs."""
        workloads = [
            Resident(each.owner, each.owner.namespace, each.labels)
            for each in pods(self.environment)
        ]
        known = [*self.proxies, *self.controllers, *self.flux, *self.scrapers, *self.stores]
        return [*workloads, *known]

    @cached_property
    def proxies(self) -> list[Resident]:
        """What Envoy Gateway runs for each Gateway of its class, labeled as it labels them.

        https://github.com/envoyproxy/gateway internal/infrastructure/kubernetes/proxy
        """
        return [
            Resident(
                gateway, self._namespace_of_proxies(gateway), self._labels(gateway), is_proxy=True
            )
            for gateway in self.environment.of("Gateway")
            if self._is_envoy(gateway)
        ]

    @cached_property
    def controllers(self) -> list[Resident]:
        """Envoy Gateway itself, as its chart labels it."""
        return [
            Resident(
                release,
                text(release.value, "spec", "targetNamespace"),
                {
                    "control-plane": "envoy-gateway",
                    "app.kubernetes.io/name": "gateway-helm",
                    "app.kubernetes.io/instance": text(release.value, "spec", "releaseName"),
                },
            )
            for release in releases_of(self.environment, *_CONTROLLER)
        ]

    @cached_property
    def stores(self) -> list[Resident]:
        """What Elastic's operator runs, as it labels it.

        https://github.com/elastic/cloud-on-k8s pkg/controller, packages label
        """
        return [
            Resident(each, each.namespace, {label: each.name})
            for kind, label in _STORES.items()
            for each in self.environment.of(kind)
        ]

    @cached_property
    def flux(self) -> list[Resident]:
        """Flux's controllers, as its distribution labels them."""
        return [
            Resident(instance, instance.namespace, {"app": str(name)})
            for instance in self.environment.of("FluxInstance")
            for name in items(instance.value, "spec", "components")
        ]

    @cached_property
    def scrapers(self) -> list[Resident]:
        """Prometheus, as the operator of its chart labels it."""
        return [
            Resident(
                release,
                text(release.value, "spec", "targetNamespace"),
                {"app.kubernetes.io/name": "prometheus"},
            )
            for release in releases_of(self.environment, PROMETHEUS)
        ]

    def ports(self, namespaces: Iterable[str]) -> set[str] | None:
        """The names of ports that pods of some namespaces have; None where not all are known."""
        names: set[str] = set()
        for namespace in namespaces:
            if namespace not in self.origins.namespaces:
                return None
            if any(each.namespace == namespace for each in self.proxies):
                names.update(_PROXY_PORTS)
            if namespace == "flux-system":
                names.update(_FLUX_PORTS)
            for release in self.origins.remote:
                if text(release.value, "spec", "targetNamespace") == namespace:
                    if chart(release) not in _CHART_PORTS:
                        return None
                    names.update(_CHART_PORTS[chart(release)])
        return names | {
            text(port, "name")
            for each in pods(self.environment)
            if each.owner.namespace in namespaces
            for container in each.containers
            for port in items(container.value, "ports")
        }

    def parameters(self, gateway: Object) -> Object | None:
        """The EnvoyProxy that a Gateway names."""
        reference = mapping(gateway.value, "spec", "infrastructure", "parametersRef")
        if text(reference, "kind") != "EnvoyProxy":
            return None
        return self.environment.find("EnvoyProxy", text(reference, "name"), gateway.namespace)

    def namespaces(self, selector: object) -> set[str]:
        """The declared namespaces that a selector of namespaces fits."""
        labels: dict[str, Value] = {name: {} for name in self.origins.namespaces}
        labels |= {each.name: each.labels for each in self.environment.of("Namespace")}
        return {
            name for name, carried in labels.items() if selects(selector, {NAME: name, **carried})
        }

    def select(self, selector: object, namespaces: Iterable[str]) -> list[Resident]:
        """The known pods of some namespaces that a selector fits."""
        where = set(namespaces)
        return [
            each
            for each in self.residents
            if each.namespace in where and selects(selector, each.labels)
        ]

    def selects_nothing(self, selector: object, namespaces: set[str]) -> bool:
        """Whether it is certain that a selector fits no pod of some namespaces.

        Pods of third-party charts have labels that nothing here shows; those that Envoy Gateway
        gives are known wherever it runs.
        """
        if not selector or self.select(selector, namespaces):
            return False
        known = any(key.startswith(_ENVOY) for key in _keys(selector)) and self.proxies
        return (
            bool(known)
            or self._is_misspelt(selector, namespaces)
            or not any(map(self.origins.is_opaque, namespaces))
        )

    def _is_misspelt(self, selector: object, namespaces: set[str]) -> bool:
        """Whether a label is that of a known pod but for a slip of the pen."""
        return any(
            str(each.labels[key]) != content and misspelt(str(content), [str(each.labels[key])])
            for each in self.residents
            if each.namespace in namespaces
            for key, content in mapping(selector, "matchLabels").items()
            if key in each.labels
        )

    def misspelt_namespace(self, selector: object) -> str:
        """The namespace that a selector means to name; empty if it may name another one."""
        name = text(selector, "matchLabels", NAME)
        declared = self.origins.namespaces
        return misspelt(name, declared) if name and name not in declared else ""

    def _is_envoy(self, gateway: Object) -> bool:
        name = text(gateway.value, "spec", "gatewayClassName")
        by = self.environment.find("GatewayClass", name)
        parameters = self.parameters(gateway)
        is_merged = bool(parameters and parameters.dig("spec", "mergeGateways"))
        # Merged Gateways share proxies, which have the class's name.
        return text(by and by.value, "spec", "controllerName").startswith(_ENVOY) and not is_merged

    def _namespace_of_proxies(self, gateway: Object) -> str:
        where = ("config", "envoyGateway", "provider", "kubernetes", "deploy", "type")
        for each in releases_of(self.environment, *_CONTROLLER):
            deploy = dig(each.value, "spec", "values", *where)
            if deploy != "GatewayNamespace":
                return text(each.value, "spec", "targetNamespace")
        return gateway.namespace

    def _labels(self, gateway: Object) -> dict[str, object]:
        parameters = self.parameters(gateway)
        where = ("spec", "provider", "kubernetes", "envoyDeployment", "pod", "labels")
        return {
            "app.kubernetes.io/name": "envoy",
            "app.kubernetes.io/component": "proxy",
            "app.kubernetes.io/managed-by": "envoy-gateway",
            f"{_OWNING}-name": gateway.name,
            f"{_OWNING}-namespace": gateway.namespace,
            **mapping(gateway.value, "spec", "infrastructure", "labels"),
            **mapping(parameters and parameters.value, *where),
        }


def _keys(selector: object) -> Iterator[str]:
    yield from mapping(selector, "matchLabels")
    yield from (text(each, "key") for each in items(selector, "matchExpressions"))
