"""What ships of monitoring, and what the real prometheus-operator makes of it.

    with monitoring.operated(checkout, cluster, folder) as output:
        output.scraping, output.rules, output.alerting

The operator runs as a process against a real API server, which has what Flux applies of the
component, and the Prometheus and the Alertmanager that the chart makes of its values. That
chart cannot be had everywhere: tests/testdata/monitoring is what it made of its own
values, and `chart_objects` puts ours over them.
"""

import base64
import contextlib
import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, mapping, text
from harness.kubernetes import kinds
from harness.kubernetes.api import Api
from harness.local_cluster import install
from harness.local_cluster.local import LocalCluster
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from harness.schema import catalog
from tests.support import prometheus
from tests.support.processes import free_ports

RECEIVERS: Value = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "alert-receivers", "namespace": "torchserve"},
    "stringData": {each: f"http://127.0.0.1:1/{each}" for each in ("page", "ticket")},
}
"""Where people are told, as an environment brings it; nobody listens there."""

CHART = Path(__file__).parents[1] / "testdata/monitoring"
NAMESPACE = "monitoring"
# The operator refuses a disk of a class that is not there.
_KINDS = ("StorageClass", "PodMonitor", "ServiceMonitor", "PrometheusRule", "AlertmanagerConfig")
_SECONDS = 120.0  # for the operator to write what it makes; it takes two
_NAME = "kube-prometheus-stack"
_SCRAPED = f"prometheus-{_NAME}-prometheus"
_ROUTED = f"alertmanager-{_NAME}-alertmanager-generated"
_RULES = f"prometheus-{_NAME}-prometheus-rulefiles"
# What the chart calls otherwise than the operator.
_RENAMED = {"storageSpec": "storage"}
_ALL = "NilUsesHelmValues"
# What the reloader beside Prometheus fills in, of the pod that it is in.
_OF_POD = {"$(SHARD)": "0", "$(POD_NAME)": f"prometheus-{_NAME}-prometheus-0"}


@dataclass(frozen=True)
class Output:
    """What the operator wrote for Prometheus and Alertmanager.

    Attributes:
        scraping: prometheus.yaml.
        rules: the rule files by name.
        alerting: alertmanager.yaml.
        kubeconfig: of the API server where it is.
    """

    scraping: Value
    rules: dict[str, Value]
    alerting: Value
    kubeconfig: Path

    def here(self, alertmanager: str = "", *, at_once: bool = True) -> Value:
        """prometheus.yaml for a Prometheus on this machine. Replaced is:

        - how it reaches the API server: by the kubeconfig, not by its pod's account;
        - where Alertmanager is: an endpoint on loopback is none that Kubernetes takes;
        - with ``at_once``, how often it scrapes and evaluates: each second.
        """
        jobs = [
            {
                **_scraping(mapping(job), at_once),
                "kubernetes_sd_configs": [
                    {**mapping(each), "kubeconfig_file": str(self.kubeconfig)}
                    for each in items(job, "kubernetes_sd_configs")
                ],
            }
            for job in items(self.scraping, "scrape_configs")
        ]
        targets = [{"targets": [alertmanager]}] if alertmanager else []
        every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        return {
            **self.scraping,
            "global": {**mapping(self.scraping, "global"), **(every if at_once else {})},
            "scrape_configs": jobs,
            "alerting": {"alertmanagers": [{"static_configs": targets}]},
        }

    def at_once(self) -> dict[str, Value]:
        """The rules without their waiting times, which promtool tries (tests/monitoring)."""
        return {name: {"groups": without_for(rules)} for name, rules in self.rules.items()}


def _scraping(job: Value, at_once: bool) -> Value:
    """A job of prometheus.yaml, with its own interval or that of each second."""
    if not at_once:
        return job
    rest = {key: each for key, each in job.items() if key != "scrape_timeout"}
    return {**rest, "scrape_interval": "1s"}


def pod(environment: Environment, name: str, port: int) -> Value:
    """A server's pod as far as it is scraped: labels and ports, its launcher at ``port``."""
    deployment = next(each for each in environment.of("Deployment") if each.name == "torchserve")
    template = mapping(deployment.value, "spec", "template")
    container = items(template, "spec", "containers")[0]
    ports = [
        {**mapping(each), **({"containerPort": port} if text(each, "name") == "launcher" else {})}
        for each in items(container, "ports")
    ]
    containers = [{"name": text(container, "name"), "image": "none", "ports": ports}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": deployment.namespace,
            "labels": mapping(template, "metadata", "labels"),
        },
        # Nobody schedules it: its address is what `run` says, that of a process here.
        "spec": {
            "schedulerName": "nobody",
            "automountServiceAccountToken": False,
            "containers": containers,
        },
    }


def run(api: Api, value: Value) -> None:
    """Have a pod that nothing runs be at 127.0.0.1, where its process is."""
    api.wait_for(
        kinds.SERVICE_ACCOUNT,
        lambda accounts: "default" in [text(each, "metadata", "name") for each in accounts],
        namespace=text(value, "metadata", "namespace"),
        seconds=_SECONDS,
    )
    api.apply(value)
    status = {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}
    name, namespace = text(value, "metadata", "name"), text(value, "metadata", "namespace")
    api.patch(kinds.POD, name, {"status": status}, namespace, part="status")


def without_for(rules: Value) -> list[Value]:
    """Groups of rules that fire as soon as their expression holds."""
    return [
        {
            "name": text(group, "name"),
            "interval": "1s",
            "rules": [
                {key: each for key, each in mapping(rule).items() if key != "for"}
                for rule in items(group, "rules")
            ],
        }
        for group in items(rules, "groups")
    ]


def production(repository: Repository) -> Environment:
    """Production, rendered as Flux would apply it."""
    return Renderer(repository).candidate("production")


def chart_objects(environment: Environment) -> list[Value]:
    """The Prometheus, the Alertmanager and its Secret that the chart makes of our values."""
    release = environment.find("HelmRelease", _NAME)
    values = mapping(release and release.value, "spec", "values")
    specs = {
        "Prometheus": mapping(values, "prometheus", "prometheusSpec"),
        "Alertmanager": mapping(values, "alertmanager", "alertmanagerSpec"),
    }
    routes: Value = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"alertmanager-{_NAME}-alertmanager", "namespace": NAMESPACE},
        "stringData": {"alertmanager.yaml": (CHART / "alertmanager.yaml").read_text()},
    }
    recorded = yaml.safe_load_all((CHART / "chart.yaml").read_text())
    return [routes, *(_with_values(each, specs[text(each, "kind")]) for each in recorded)]


def _with_values(chart_object: Value, values: Value) -> Value:
    """An object of the chart with the values of its spec, as the chart's template puts them."""
    spec = dict(mapping(chart_object, "spec"))
    for key, value in values.items():
        if not key.endswith(_ALL):
            spec[_RENAMED.get(key, key)] = value
        elif value is False:
            spec[key.removesuffix(_ALL)] = {}
    return {**chart_object, "spec": spec}


@contextlib.contextmanager
def operated(
    repository: Repository, cluster: LocalCluster, folder: Path, *more: Value
) -> Iterator[Output]:
    """Have the operator run, and say what it makes of what ships and of ``more``."""
    environment = production(repository)
    ours = [each.value for each in environment.of(*_KINDS)]
    put(repository, cluster.api, [*chart_objects(environment), *ours, *more])
    with operator(repository, cluster, folder):
        yield output(cluster)


def put(repository: Repository, api: Api, objects: list[Value]) -> None:
    """Apply objects of the operator's kinds, and their kinds and namespaces before them."""
    crds = catalog.find(repository) / catalog.CRDS
    definitions = list(install.definitions(crds, "prometheus-operator@*"))
    install.install(api, definitions, seconds=_SECONDS)
    namespaces = {text(each, "metadata", "namespace") for each in objects} - {""}
    for name in sorted(namespaces):
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for each in objects:
        api.apply(each)


@contextlib.contextmanager
def operator(repository: Repository, cluster: LocalCluster, folder: Path) -> Iterator[None]:
    """The real operator at the API server of a local cluster, as its administrator."""
    (port,) = free_ports(1)
    program = tools.find(repository, "prometheus-operator")
    argv: list[str | Path] = [program, f"--web.listen-address=127.0.0.1:{port}"]
    env = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    with prometheus.program(argv, folder / "operator.log", folder, env):
        yield


def output(cluster: LocalCluster) -> Output:
    """What the operator has written, once it has written everything."""
    api = cluster.api
    scraping = _content(api, _SCRAPED, "prometheus.yaml.gz")
    alerting = _content(api, _ROUTED, "alertmanager.yaml.gz")
    files = api.wait_for(
        kinds.CONFIG_MAP,
        lambda maps: {
            name: yaml.safe_load(str(content))
            for each in maps
            if text(each, "metadata", "name").startswith(_RULES)
            for name, content in mapping(each, "data").items()
        },
        namespace=NAMESPACE,
        seconds=_SECONDS,
        what="the operator's rule files",
    )
    return Output(scraping, files, alerting, cluster.kubeconfig)


def _content(api: Api, name: str, key: str) -> Value:
    """A file in a Secret of the operator's, unpacked, with the names of a first pod in it."""

    def archive(secrets: list[Value]) -> str:
        return next(
            (
                str(dig(each, "data", key))
                for each in secrets
                if text(each, "metadata", "name") == name and dig(each, "data", key)
            ),
            "",
        )

    content = api.wait_for(
        kinds.SECRET, archive, namespace=NAMESPACE, seconds=_SECONDS, what=f"the Secret {name}"
    )
    unpacked = gzip.decompress(base64.b64decode(content)).decode()
    for variable, value in _OF_POD.items():
        unpacked = unpacked.replace(variable, value)
    return mapping(yaml.safe_load(unpacked))
