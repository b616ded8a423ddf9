"""The Gateway that KUBECONFIG leads to, and what runs behind it.

The load goes through the gateway, as users' requests do. What Flux reports is read through the API
server, and the metrics of every pod by port forwarding: the kubelet connects inside the pod, on its
loopback, where no NetworkPolicy applies. The API server's own proxy would connect from outside,
from addresses that no policy can name (docs/decisions/0020-figures-by-port-forward.md).

What is read: HTTPRoutes and GRPCRoutes in namespace torchserve (those called ``torchserve`` lead to
the first group), Kustomization ``torchserve`` in flux-system and the HelmReleases that it applies,
pods labeled ``app.kubernetes.io/name`` torchserve (the launcher's port 8090) and dcgm-exporter
(9400).
"""

import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError
from harness.loadtest import port_forward, reach
from harness.loadtest.scrape import METRICS, Reading
from harness.loadtest.target import Release, ServingGroup, Target
from harness.prometheus import client as prometheus
from harness.prometheus.client import Prometheus
from harness.snapshot.routes import model_of

_NAMESPACE = "torchserve"
_FLUX = "flux-system"
_GATEWAY_API = ("gateway.networking.k8s.io", "v1")
_ROUTES = {"rest": "httproutes", "grpc": "grpcroutes"}
_NAME = "app.kubernetes.io/name"
_APP = "torchserve"
_APPLIED = f"kustomize.toolkit.fluxcd.io/name={_APP}"  # what Flux labels the groups' releases with
_PORTS = {_APP: 8090, "dcgm-exporter": 9400}
# Without the Jobs and test pods of a group, which are called torchserve too and serve nothing.
_SELECTORS = (f"{_NAME}={_APP},app.kubernetes.io/component=server", f"{_NAME}=dcgm-exporter")
_TIMEOUT = 5.0  # seconds for the API server: a scrape is due each second
_SCRAPED_EVERY = 15.0  # seconds: the interval of infra/monitoring/configs/podmonitor.yaml
_POD = re.compile(r'[{,]pod="([^"]+)"')
_AT_ONCE = 32  # pods that are read at the same time


def find(protocol: str, digest: Callable[[str], str | None], *, from_here: bool = True) -> Target:
    """The target behind the current context of KUBECONFIG.

    Args:
        protocol: ``rest`` or ``grpc``.
        digest: the release digest of a commit; or None if the commit cannot be rendered.
        from_here: the load comes from this machine.

    Raises:
        HarnessError: no cluster can be reached, it has no route to TorchServe with an address, or
            its gateway is internal to a network that this machine is not in.
    """
    cluster = KubernetesCluster(digest)
    target = behind(cluster, protocol)
    if from_here and (why := reach.out_of_reach(target.url, cluster.api_server)):
        raise HarnessError(why)
    return target


def behind(cluster: "KubernetesCluster", protocol: str) -> Target:
    """The target behind a cluster's gateway.

    Raises:
        HarnessError: there is no route to TorchServe with an address.
    """
    route = cluster.route(_ROUTES[protocol])
    gateway = cluster.gateway(route)
    addresses = gateway.get("status", {}).get("addresses", [])
    if not addresses:
        name = gateway["metadata"]["name"]
        raise HarnessError(
            f"Gateway {name} has no address yet",
            hint=f"kubectl -n {gateway['metadata']['namespace']} describe gateway {name}",
        )
    listener = _listener(route, gateway)
    scheme = "https" if listener["protocol"] in {"HTTPS", "TLS"} else "http"
    names = [*route["spec"].get("hostnames", []), listener.get("hostname", "")]
    host = next((name for name in names if name and not name.startswith("*")), None)
    port = listener["port"]
    address = addresses[0]["value"]
    shown = f"[{address}]" if ":" in address else address
    url = f"{scheme}://{shown}:{port}"
    return Target(url, host=host, cluster=cluster, groups=cluster.groups(protocol))


class KubernetesCluster:
    """The cluster of a context of a kubeconfig: by default of KUBECONFIG and its current one."""

    def __init__(
        self,
        digest: Callable[[str], str | None],
        kubeconfig: Path | None = None,
        context: str | None = None,
    ) -> None:
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException

        try:
            # The client itself reads the variable only once, when it is imported.
            path = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG")
            self.name = context or str(config.list_kube_config_contexts(path)[1]["name"])
            api_client = config.new_client_from_config(path, context=self.name)
        except (ConfigException, OSError) as error:
            raise HarnessError(
                f"no cluster to load: {error}", hint="set KUBECONFIG, or give --target URL"
            ) from error
        self._digest = functools.cache(digest)
        self._core = client.CoreV1Api(api_client)
        self._custom = client.CustomObjectsApi(api_client)
        self._readers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="metrics")
        self._pending: dict[str, Future[str]] = {}
        self._has_prometheus = True  # until it does not answer, or does not know a server

    @property
    def api_server(self) -> str:
        """The URL by which this machine reaches it."""
        return str(self._core.api_client.configuration.host)

    def route(self, plural: str) -> dict[str, Any]:
        """The route of this kind to the first group: the one called torchserve, or the only one."""
        routes = self.routes(plural)
        first = [route for route in routes if route["metadata"]["name"] == _APP]
        if len(routes) != 1 and not first:
            raise HarnessError(
                f"{len(routes)} {plural} in namespace {_NAMESPACE}, none of them called {_APP}",
                hint="give --target URL",
            )
        return first[0] if first else routes[0]

    def routes(self, plural: str) -> list[dict[str, Any]]:
        """Every route of a kind: ``httproutes`` or ``grpcroutes``."""
        return self._list(*_GATEWAY_API, _NAMESPACE, plural)

    def groups(self, protocol: str) -> tuple[ServingGroup, ...]:
        """The groups that routes lead to: their models by the REST paths, their gRPC hosts."""
        grpc_routes = self.routes("grpcroutes") if protocol == "grpc" else []
        hosts = {
            service: host
            for route in grpc_routes
            for host in route["spec"].get("hostnames", [])[:1]
            for _, service in _matches(route)
        }
        models: dict[str, set[str]] = {}
        for route in self.routes("httproutes"):
            for path, service in _matches(route):
                if model := model_of(path):
                    models.setdefault(service, set()).add(model)
        return tuple(
            ServingGroup(name, frozenset(of), grpc_host=hosts.get(name))
            for name, of in sorted(models.items())
        )

    def gateway(self, route: Mapping[str, Any]) -> dict[str, Any]:
        """The Gateway that a route hangs on."""
        parent = route["spec"]["parentRefs"][0]
        namespace = parent.get("namespace", route["metadata"]["namespace"])
        return self._get(*_GATEWAY_API, namespace, "gateways", parent["name"])

    def release(self) -> Release:
        """What Flux applied last, and the pods that serve it."""
        flux = "toolkit.fluxcd.io"
        apps = self._get(f"kustomize.{flux}", "v1", _FLUX, "kustomizations", _APP)
        groups = self._list(f"helm.{flux}", "v2", _FLUX, "helmreleases", label_selector=_APPLIED)
        latest = {group["metadata"]["name"]: _latest(group) for group in groups}
        named = (f"{name}: {fields}" for name, fields in sorted(latest.items()))
        revision = str(apps.get("status", {}).get("lastAppliedRevision", ""))
        commit = revision.rpartition(":")[2]
        return Release(
            commit=commit,
            digest=self._digest(commit),
            helm="".join(latest.values()) if len(latest) == 1 else "; ".join(named),
            pods=self._templates(),
        )

    def metrics(self) -> Reading:
        """The metrics text of every pod that serves, and of every DCGM exporter on the same node.

        They come from Prometheus where there is one that scrapes every server, else from each pod.

        Raises:
            HarnessError: the pods cannot be listed.
        """
        pods = [pod for pod in self._pods() if pod.status.phase == "Running"]
        nodes = {pod.spec.node_name for pod in pods if _app(pod) == _APP}
        pods = [pod for pod in pods if pod.spec.node_name in nodes]
        if self._has_prometheus and (reading := self._prometheus_metrics(pods)):
            return reading
        self._has_prometheus = False  # counters go on where they were: the pods have the same
        for pod in pods:
            # A pod that has not answered the last scrape is not read again meanwhile.
            if pod.metadata.name not in self._pending:
                self._pending[pod.metadata.name] = self._readers.submit(self._pod_metrics, pod)
        wait(self._pending.values(), timeout=_TIMEOUT)
        return self._collect()

    def _prometheus_metrics(self, pods: Sequence[Any]) -> Reading | None:
        """What Prometheus scraped last of these pods; None if it lacks a server."""
        try:
            text = Prometheus(self._get_from_prometheus).federate("|".join(METRICS))
        except HarnessError:
            return None
        texts: dict[str, str] = dict.fromkeys((pod.metadata.name for pod in pods), "")
        for line in text.splitlines():
            if (match := _POD.search(line)) and match[1] in texts:
                texts[match[1]] += f"{line}\n"
        if not all(texts[pod.metadata.name] for pod in pods if _app(pod) == _APP):
            return None
        known = {name: each for name, each in texts.items() if each}
        unread = dict.fromkeys(texts.keys() - known, "Prometheus has no metrics of it")
        return Reading(known, unread, source="Prometheus", seconds=_SCRAPED_EVERY)

    def _get_from_prometheus(self, path: str) -> str:
        where = (prometheus.NAMESPACE, prometheus.POD, prometheus.PORT)
        configuration = self._core.api_client.configuration
        return port_forward.get(configuration, *where, path, seconds=_TIMEOUT)

    def _collect(self) -> Reading:
        texts: dict[str, str] = {}
        unread: dict[str, str] = {}
        for name, response in list(self._pending.items()):
            if not response.done():
                unread[name] = f"no answer within {_TIMEOUT:g} s"
                continue
            del self._pending[name]
            try:
                texts[name] = response.result()
            except HarnessError as error:
                unread[name] = error.message
        return Reading(texts, unread)

    def _pod_metrics(self, pod: Any) -> str:
        meta, port = pod.metadata, _PORTS[_app(pod)]
        return port_forward.get(
            self._core.api_client.configuration,
            *(meta.namespace, meta.name, port, "/metrics"),
            seconds=_TIMEOUT,
        )

    def _templates(self) -> str:
        """Each pod template that serves, with all its pods' restarts; scaling changes neither."""
        restarts: dict[str, int] = {}
        for pod in self._pods():
            if _app(pod) == _APP:
                template = (pod.metadata.labels or {}).get("pod-template-hash", "")
                count = sum(s.restart_count for s in pod.status.container_statuses or [])
                restarts[template] = restarts.get(template, 0) + count
        return " ".join(f"{template}+{count}" for template, count in sorted(restarts.items()))

    def _pods(self) -> Iterator[Any]:
        for selector in _SELECTORS:
            yield from self._call(
                self._core.list_pod_for_all_namespaces, label_selector=selector
            ).items

    def _list(
        self, group: str, version: str, namespace: str, plural: str, **keys: str
    ) -> list[dict[str, Any]]:
        response = self._call(
            self._custom.list_namespaced_custom_object, group, version, namespace, plural, **keys
        )
        return list(response["items"])

    def _get(
        self, group: str, version: str, namespace: str, plural: str, name: str
    ) -> dict[str, Any]:
        return dict(
            self._call(
                self._custom.get_namespaced_custom_object, group, version, namespace, plural, name
            )
        )

    def _call(self, method: Callable[..., Any], *args: str, **keys: str) -> Any:
        """Call a method of the client; every failure becomes a HarnessError."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return method(*args, **keys, _request_timeout=_TIMEOUT)
        except ApiException as error:
            raise HarnessError(f"{self.name}: {error.status} {error.reason}: {args}") from error
        except (HTTPError, OSError) as error:
            raise HarnessError(
                f"cluster {self.name} does not answer: {type(error).__name__}",
                hint="kubectl get nodes, or give --target URL",
            ) from error


def _matches(route: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The paths of a route ("" for gRPC), each with the Service behind it."""
    for rule in route["spec"].get("rules", []):
        for backend in rule.get("backendRefs", []):
            for match in rule.get("matches", [{}]):
                yield match.get("path", {}).get("value", ""), backend["name"]


def _latest(release: Mapping[str, Any]) -> str:
    """What a HelmRelease installed last."""
    history = release.get("status", {}).get("history") or [{}]
    keys = ("version", "chartVersion", "configDigest")
    return " ".join(f"{key}={history[0].get(key)}" for key in keys)


def _app(pod: Any) -> str:
    return str(pod.metadata.labels[_NAME])


def _listener(route: Mapping[str, Any], gateway: Mapping[str, Any]) -> dict[str, Any]:
    """The listener that the route names, else the one that is encrypted, else the first."""
    section = route["spec"]["parentRefs"][0].get("sectionName")
    listeners: list[dict[str, Any]] = gateway["spec"]["listeners"]
    return min(
        listeners,
        key=lambda listener: (listener["name"] != section, listener["protocol"] != "HTTPS"),
    )
