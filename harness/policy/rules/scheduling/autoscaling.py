"""Autoscaling: a ScaledObject asks a Prometheus that is there for figures that exist."""

import re
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.suggest import did_you_mean
from harness.core.values import Value, dig, items, mapping, text
from harness.policy.facts.graph import releases_of
from harness.policy.facts.population import PROMETHEUS
from harness.policy.facts.serving import servers
from harness.policy.finding import Severity
from harness.policy.recorded import metrics
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_GROUP = re.compile(r"""\bgroup\s*=\s*["']([^"']*)["']""")
_ADDRESS = re.compile(
    r"https?://(?P<service>[^./:]+)\.(?P<namespace>[^./:]+)[^/:]*(?P<port>:\d+)?(/|$)"
)
_PORT = ":9090"


def _queries(environment: Environment) -> Iterator[tuple[Object, int, Value]]:
    """Each trigger that asks Prometheus: its ScaledObject, its place there, its metadata."""
    for scaled in environment.of("ScaledObject"):
        for index, trigger in enumerate(items(scaled.value, "spec", "triggers")):
            if text(trigger, "type") == "prometheus":
                yield scaled, index, mapping(trigger, "metadata")


@rule(
    "autoscaling/query",
    why="a query for what no server exports, or for another group, finds nothing: the number of "
    "pods never follows the load",
    fix="ask for a metric of docs/launcher.md, with the label group of the servers that are scaled",
)
def query(environment: Environment) -> Iterator[Problem]:
    groups = {server.group for server in servers(environment)}
    for scaled, index, metadata in _queries(environment):
        where = ("spec", "triggers", index, "metadata", "query")
        promql = text(metadata, "query")
        for name in metrics.unknown_to_us(promql):
            message = f"no server exports {name}{did_you_mean(name, metrics.SERVERS)}"
            yield problem(scaled, message, *where)
        for group in dict.fromkeys(_GROUP.findall(promql) if metrics.OURS in promql else ()):
            if group not in groups:
                message = f"there is no group {group}{did_you_mean(group, groups)}"
                yield problem(scaled, message, *where)


@rule(
    "autoscaling/missing-metrics",
    why="by default KEDA takes a query without a result for 0: when Prometheus loses the servers, "
    "as many pods as may go are taken away under full load",
    fix='ignoreNullValues: "false": the number of pods then stays as it is',
)
def missing_metrics(environment: Environment) -> Iterator[Problem]:
    for scaled, index, metadata in _queries(environment):
        if str(dig(metadata, "ignoreNullValues")).lower() != "false":
            where = ("spec", "triggers", index, "metadata", "ignoreNullValues")
            yield problem(scaled, "takes missing metrics for no load", *where, to="false")


@rule(
    "autoscaling/prometheus",
    why="an address at which no Prometheus listens is one more way to never scale",
    fix="write http://RELEASE-prometheus.NAMESPACE.svc:9090, as infra/monitoring installs it",
)
def prometheus(environment: Environment) -> Iterator[Problem]:
    services = {
        text(each.value, "spec", "targetNamespace"): f"{each.name}-prometheus"
        for each in releases_of(environment, PROMETHEUS)
        if not text(each.value, "spec", "values", "fullnameOverride")
    }
    for scaled, index, metadata in _queries(environment):
        address = _ADDRESS.match(text(metadata, "serverAddress"))
        if not address or address["namespace"] not in services:
            continue
        service = services[address["namespace"]]
        if (address["service"], address["port"]) != (service, _PORT):
            to = f"http://{service}.{address['namespace']}.svc{_PORT}"
            where = ("spec", "triggers", index, "metadata", "serverAddress")
            message = f"Prometheus listens at {to}, not at {address[0]}"
            yield problem(scaled, message, *where, to=to)


@rule(
    "autoscaling/keda",
    why="without KEDA its kinds are not there: the upgrade that brings a ScaledObject fails and is "
    "rolled back",
    fix="list ../../../infra/keda under resources in apps/torchserve/<env>/kustomization.yaml; if "
    "something else installs KEDA, suppress this in exceptions.yaml",
    severity=Severity.WARNING,
)
def keda(environment: Environment) -> Iterator[Problem]:
    if not releases_of(environment, "keda"):
        for scaled in environment.of("ScaledObject"):
            yield problem(scaled, "nothing here installs KEDA", "spec", "maxReplicaCount")
