"""Spans: an address that something listens on, a way to it, and no more of them than are read."""

import re
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import dig, items, text
from harness.policy.facts.network_policies import Barrier, barriers, listeners
from harness.policy.facts.pods import Pod
from harness.policy.facts.population import Resident
from harness.policy.facts.serving import servers
from harness.policy.finding import Severity
from harness.policy.project import Project
from harness.policy.rule import problem, rule
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
        option = server.container.option_path("--traces")
        if obstacle := _obstacle(environment, server.pod, service, int(match[3] or _OTLP), url):
            if isinstance(obstacle, Barrier):
                yield obstacle.problem()
            else:
                yield server.container.problem(f"{url}: {obstacle}", *option)


def _obstacle(
    environment: Environment, client: Pod, service: Object | None, number: int, url: str
) -> str | Barrier:
    """What keeps spans of a pod from a port of a Service; a policy that is to be corrected."""
    if service is None:
        return "there is no such Service"
    ports = items(service.value, "spec", "ports")
    port = next((each for each in ports if dig(each, "port") == number), None)
    if port is None:
        return f"{service} has no port {number}"
    if url.startswith("https:") and text(port, "name").startswith("http-"):
        return f"port {text(port, 'name')} of {service} speaks no TLS: http:// is meant?"
    source = Resident(client.owner, client.owner.namespace, client.labels)
    for goal, at in listeners(environment, service, port):
        target = Resident(goal.owner, goal.owner.namespace, goal.labels)
        shut = list(barriers(environment, source, target, {at}))
        # Where neither end is open, another port was meant.
        if len(shut) == 1 and shut[0].is_near:
            return shut[0]
        if shut:
            return f"{shut[-1].policy} {shut[-1].message}"
    return ""


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
