"""Spans: an address that something listens on, a way to it, and no more of them than are read."""

import re
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import dig, items, mapping, text
from harness.policy.finding import Severity
from harness.policy.pods import Pod, pods_of_service, policies_of_pod, selects
from harness.policy.population import NAME
from harness.policy.project import Project
from harness.policy.rule import problem, rule
from harness.policy.serving import servers
from harness.render.objects import Object
from harness.render.rendered import Environment

_SERVICE = re.compile(r"https?://([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.[a-z.]+)?(?::(\d+))?(?:/.*)?")
_OTLP = 4318  # of OTLP over HTTP
_TRACING = ("spec", "telemetry", "tracing")
_RATE = (*_TRACING, "samplingRate")


@rule(
    "tracing/collector",
    why="spans that nobody takes are dropped: tracing looks switched on, and no trace is found",
    fix="list infra/tracing under `components` of apps/torchserve/<env>/kustomization.yaml, which "
    "brings the collector and the way to it, or name one that is there in tracing.endpoint",
)
def spans_arrive(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        url = server.container.option("--traces") or ""
        match = _SERVICE.fullmatch(url)
        if match is None:  # no tracing, or a collector outside the cluster
            continue
        service = environment.find("Service", match[1], match[2])
        if message := _obstacle(environment, server.pod, service, int(match[3] or _OTLP)):
            option = server.container.option_path("--traces")
            yield server.container.problem(f"{url}: {message}", *option)

    for proxy in environment.of("EnvoyProxy"):
        yield from _missing_collectors(environment, proxy)


def _missing_collectors(environment: Environment, proxy: Object) -> Iterator[Problem]:
    where = (*_TRACING, "provider", "backendRefs")
    for index, backend in enumerate(items(proxy.value, *where)):
        name, namespace = text(backend, "name"), text(backend, "namespace") or proxy.namespace
        if environment.find("Service", name, namespace) is None:
            message = f"the gateway's spans go to Service/{namespace}/{name}, which is not there"
            yield problem(proxy, message, *where, index, "name")


def _obstacle(environment: Environment, client: Pod, service: Object | None, number: int) -> str:
    """Why spans of a pod do not reach a port of a Service."""
    if service is None:
        return "there is no such Service"
    port = next(
        (p for p in items(service.value, "spec", "ports") if dig(p, "port") == number), None
    )
    if port is None:
        return f"{service} has no port {number}"
    policies = [
        policy
        for policy in policies_of_pod(client, environment)
        if "Egress" in items(policy.value, "spec", "policyTypes")
    ]
    goals = pods_of_service(service, environment)
    if policies and goals and not any(_lets_out(policy, goals[0]) for policy in policies):
        return f"no policy lets the servers call {goals[0].owner}"
    return ""


def _lets_out(policy: Object, goal: Pod) -> bool:
    return any(
        selects(dig(peer, "podSelector"), goal.labels)
        and mapping(peer, "namespaceSelector", "matchLabels").get(NAME) == goal.owner.namespace
        for rule_ in items(policy.value, "spec", "egress")
        for peer in items(rule_, "to")
    )


@rule(
    "tracing/sampling",
    why="each traced request costs spans at the gateway, in the worker and in the store, which "
    "holds two days of them; a few percent show where time goes",
    fix="samplingRate: 1 to 10; a client that wants a trace asks for it with its traceparent",
    severity=Severity.WARNING,
)
def sampling_is_bounded(project: Project) -> Iterator[Problem]:
    for environment in map(project.environments.__getitem__, project.sources):
        for proxy in environment.of("EnvoyProxy"):
            rate = proxy.dig(*_RATE)
            if proxy.dig(*_TRACING) and rate in (None, 100):
                yield problem(proxy, "every request is traced", *_RATE)
