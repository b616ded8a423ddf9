"""Who asks third-party programs: the API server their webhooks, KEDA Prometheus."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import items, text
from harness.policy.facts.graph import releases_of
from harness.policy.facts.network_policies import barriers, opens, policies_at
from harness.policy.facts.population import Population, Resident
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

# What the API server asks, from addresses outside the pods' network: the chart, a label of the pods
# that answer, the port that they answer on.
_ASKED = (
    ("cert-manager", {"app.kubernetes.io/name": "webhook"}, 10250),
    ("keda", {"app": "keda-operator-metrics-apiserver"}, 6443),
    ("kube-prometheus-stack", {"app": "kube-prometheus-stack-operator"}, 10250),
)
_OPERATOR = {"app": "keda-operator", "app.kubernetes.io/name": "keda-operator"}
_PROMETHEUS = 9090


@rule(
    "networking/callbacks",
    why="the API server asks webhooks and metric adapters, and KEDA Prometheus: where a policy "
    "keeps them out, objects are refused, or the number of pods never changes",
    fix="open the port that is named: to every address where the API server asks, which is outside "
    "the pods' network; to KEDA's namespace and label at Prometheus",
)
def callbacks_get_through(environment: Environment) -> Iterator[Problem]:
    for chart, labels, port in _ASKED:
        for release in releases_of(environment, chart):
            yield from _shut_to_the_api_server(environment, _pods(release, labels), port)
    scaled = any(
        text(trigger, "type") == "prometheus"
        for each in environment.of("ScaledObject")
        for trigger in items(each.value, "spec", "triggers")
    )
    for release in releases_of(environment, "keda") if scaled else ():
        for prometheus in Population(environment).scrapers:
            operator = _pods(release, _OPERATOR)
            for barrier in barriers(environment, operator, prometheus, {_PROMETHEUS}):
                yield barrier.problem()


def _pods(release: Object, labels: dict[str, str]) -> Resident:
    return Resident(release, text(release.value, "spec", "targetNamespace"), labels)


def _shut_to_the_api_server(
    environment: Environment, callee: Resident, port: int
) -> Iterator[Problem]:
    policies = policies_at(environment, callee, "Ingress")
    opened = [
        allowed
        for policy in policies
        for allowed in items(policy.value, "spec", "ingress")
        if opens(allowed, port)
    ]
    if policies and not opened:
        message = f"keeps the API server from {callee.owner}: it asks on {port}"
        yield problem(policies[0], message, "spec", "ingress")
