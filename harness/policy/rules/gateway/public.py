"""What clients reach from outside: the gateway's load balancer, and Services that charts make."""

import re
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import items, leaves, mapping, text
from harness.policy.facts.graph import releases_of
from harness.policy.facts.origins import Origins
from harness.policy.facts.population import Population
from harness.policy.rule import problem, rule
from harness.render.rendered import Environment

_SERVICE = ("spec", "provider", "kubernetes", "envoyService")
_PREFIX = "service.beta.kubernetes.io/aws-load-balancer-"
_ANYBODY = ("0.0.0.0/0", "::/0")
_ANNOTATIONS = "annotations"
_ANONYMOUS = ("spec", "values", "grafana", "grafana.ini", "auth.anonymous")
_VIEWER = "Viewer"
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - what is looked for
# As an argument, or as the name of one: Prometheus' admin API, a dashboard that asks nobody.
_ADMIN_OPTION = re.compile(
    r"^(--)?(web\.enable-admin-api|enable-skip-login|enable-insecure-login|api\.insecure)(=true)?$"
)


@rule(
    "gateway/private",
    why="a load balancer without the annotation is public: everybody may try tokens, and whatever "
    "Envoy gets wrong is at the internet; EKS's cloud controller knows no other annotation for it",
    fix=f'set {_PREFIX}internal: "true", or loadBalancerSourceRanges for whom it is; to make it '
    "public, an exception for the EnvoyProxy says so (docs/gateway.md)",
    references=(
        "https://github.com/kubernetes/cloud-provider-aws/blob/master/docs/service_controller.md",
    ),
)
def gateway_is_private(environment: Environment) -> Iterator[Problem]:
    population = Population(environment)
    if not population.origins.is_eks:
        return
    by_controller = bool(releases_of(environment, "aws-load-balancer-controller"))
    for proxies in population.proxies:
        gateway = proxies.owner
        written = population.parameters(gateway)
        service = mapping(written and written.value, *_SERVICE)
        annotations = {
            **mapping(gateway.value, "spec", "infrastructure", _ANNOTATIONS),
            **mapping(service, _ANNOTATIONS),
        }
        if _is_public(service, annotations, by_controller=by_controller):
            message = f"the load balancer of {gateway.name} is open to the internet"
            if written and service:
                place, key = (*_SERVICE, _ANNOTATIONS), f"{_PREFIX}internal"
                at = (*place, key) if key in mapping(service, _ANNOTATIONS) else place
                yield problem(written, message, *at)
            else:
                yield problem(gateway, message, "spec", "infrastructure")


def _is_public(service: object, annotations: object, *, by_controller: bool) -> bool:
    """Whether a Service of Envoy's asks AWS for a load balancer that everybody reaches."""
    if text(service, "type") not in ("", "LoadBalancer"):
        return False
    ranges = items(service, "loadBalancerSourceRanges")
    if ranges and not any(each in _ANYBODY for each in ranges):
        return False
    internal = text(annotations, f"{_PREFIX}internal")
    scheme = text(annotations, f"{_PREFIX}scheme")
    # The AWS Load Balancer Controller makes an internal one unless it is told otherwise.
    return scheme == "internet-facing" if by_controller else internal in ("", "false")


@rule(
    "helm/values-public",
    why="a LoadBalancer, a NodePort or an Ingress of a third-party chart goes around the gateway, "
    "its TLS and its tokens; who is Admin without a password, or may call an admin API, changes "
    "dashboards and deletes data",
    fix="ClusterIP, and `kubectl port-forward` or a route of the gateway; where something else "
    "keeps strangers out, an exception in exceptions.yaml says what, and until when",
    references=("CIS EKS 5.4.5",),
)
def values_open_no_service(environment: Environment) -> Iterator[Problem]:
    for release in Origins(environment).remote:
        anonymous = mapping(release.value, *_ANONYMOUS)
        role = text(anonymous, "org_role") or _VIEWER
        if anonymous.get("enabled") in (True, "true") and role != _VIEWER:
            message = f"whoever reaches Grafana is {role} there, without a password"
            yield problem(release, message, *_ANONYMOUS, "org_role", to=_VIEWER)
        for path, setting in leaves(release.dig("spec", "values"), ("spec", "values")):
            where = ".".join(map(str, path[2:-1]))
            if path[-1] == "type" and setting in ("LoadBalancer", "NodePort"):
                message = f"{where} is open to the outside"
                yield problem(release, message, *path, to="ClusterIP")
            elif path[-2:] == ("ingress", "enabled") and setting is True:
                message = f"{where} is a way in around the gateway"
                yield problem(release, message, *path, to=False)
            elif path[-1] == "enableAdminAPI" and setting is True:
                message = "whoever reaches Prometheus deletes what it has recorded"
                yield problem(release, message, *path, to=False)
            elif _ADMIN_OPTION.search(str(setting)) and path[-1] != "value":
                message = f"{setting} lets whoever reaches it administer the program"
                yield problem(release, message, *path)
            elif path[-3:] == ("admin", "address", "host") and setting in _EVERY_ADDRESS:
                message = "the admin interface listens to every pod"
                yield problem(release, message, *path, to="127.0.0.1")
