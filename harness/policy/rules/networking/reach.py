"""Who reaches whom: selectors that select, ports that somebody listens on, policies that let in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.problem import Problem
from harness.core.suggest import did_you_mean
from harness.core.values import KeyPath, Value, dig, items, mapping, text
from harness.policy.facts.attachments import attachments
from harness.policy.facts.gateway_access import ROUTES, leads_to_receivers
from harness.policy.facts.network_policies import (
    barriers,
    listeners,
    opens,
    policies_at,
    port_numbers,
)
from harness.policy.facts.pods import Pod, pods, pods_of_policy, pods_of_service, selects
from harness.policy.facts.population import FLUX_SERVICES, NAME, Population, Resident
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_GRPC = ("grpc", "kubernetes.io/h2c")  # appProtocol of a port that speaks gRPC
_SHIFTED = 10000  # Envoy Gateway adds it to a listener's port below 1024
_PROXY_POD = ("spec", "provider", "kubernetes", "envoyDeployment", "pod")
_COLLECTORS = ("spec", "telemetry", "tracing", "provider", "backendRefs")
_WEBHOOKS = 9292  # of notification-controller: what the Service webhook-receiver sends to
_XDS = 18000  # where Envoy Gateway's proxies ask it for configuration


@dataclass(frozen=True, slots=True)
class _Selector:
    """A selector of pods, and the namespaces in which it looks for them."""

    holder: Object
    where: KeyPath
    selector: object
    namespaces: set[str]


def _selectors(environment: Environment) -> Iterator[_Selector]:
    for service in environment.of("Service"):
        labels = {"matchLabels": mapping(service.value, "spec", "selector")}
        if labels["matchLabels"]:
            yield _Selector(service, ("spec", "selector"), labels, {service.namespace})
    for policy in environment.of("NetworkPolicy"):
        chosen = policy.dig("spec", "podSelector")
        yield _Selector(policy, ("spec", "podSelector"), chosen, {policy.namespace})
    for monitor in environment.of("PodMonitor"):
        listed = items(monitor.value, "spec", "namespaceSelector", "matchNames")
        if not monitor.dig("spec", "namespaceSelector", "any"):
            chosen = monitor.dig("spec", "selector")
            names = {str(each) for each in listed} or {monitor.namespace}
            yield _Selector(monitor, ("spec", "selector"), chosen, names)
    yield from _neighbors(environment)


def _neighbors(environment: Environment) -> Iterator[_Selector]:
    """Selectors by which pods choose the pods that they run near, or far from."""
    for proxy in environment.of("EnvoyProxy"):
        spread = (*_PROXY_POD, "topologySpreadConstraints")
        for index, constraint in enumerate(items(proxy.value, *spread)):
            of_proxies = (*spread, index, "labelSelector")
            yield _Selector(proxy, of_proxies, dig(constraint, "labelSelector"), {proxy.namespace})
    for subject in pods(environment):
        where = ("affinity", "podAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
        for index, term in enumerate(items(subject.spec, *where)):
            names = {str(each) for each in items(term, "namespaces")} or {subject.owner.namespace}
            if dig(term, "namespaceSelector") is None:
                place = (*subject.path, "spec", *where, index, "labelSelector")
                yield _Selector(subject.owner, place, dig(term, "labelSelector"), names)


@rule(
    "networking/selects",
    why="a Service whose selector fits no pod refuses every request, a policy or a peer that fits "
    "none protects nothing or lets nobody in, and all look as if they did their work",
    fix="make the selector equal the labels of the pod template; where namespaceSelector and "
    "podSelector belong together, only the first of them has a dash",
    like=(
        "kube-linter dangling-service",
        "kube-score networkpolicy-targets-pod",
    ),
)
def selectors_select(environment: Environment) -> Iterator[Problem]:
    population = Population(environment)
    for each in _selectors(environment):
        if population.selects_nothing(each.selector, each.namespaces):
            places = ", ".join(sorted(each.namespaces))
            yield problem(each.holder, f"selects no pod of {places}", *each.where)
    for policy in environment.of("NetworkPolicy"):
        yield from _peers(policy, population)
    yield from _monitors(environment, population)


def _peers(policy: Object, population: Population) -> Iterator[Problem]:
    """Peers that mean something else than they say: a misspelt namespace, a dash too many."""
    for direction, key in (("ingress", "from"), ("egress", "to")):
        for at, allowed in enumerate(items(policy.value, "spec", direction)):
            peers = [mapping(each) for each in items(allowed, key)]
            for index, peer in enumerate(peers):
                where = ("spec", direction, at, key, index)
                if meant := population.misspelt_namespace(dig(peer, "namespaceSelector")):
                    message = f"there is no such namespace; {meant} is meant?"
                    named = (*where, "namespaceSelector", "matchLabels", NAME)
                    yield problem(policy, message, *named, to=meant)
                around = peers[max(index - 1, 0) : index + 2]
                is_split = {"podSelector"} == set(peer) and any(
                    {"namespaceSelector"} == set(each) and any(each.values()) for each in around
                )
                if is_split and _is_foreign(policy, peer, population):
                    message = f"selects no pod of {policy.namespace}: if it belongs with the "
                    message += "namespaceSelector next to it, write both as one peer, with one dash"
                    yield problem(policy, message, *where, "podSelector")


def _is_foreign(policy: Object, peer: Value, population: Population) -> bool:
    """Whether a peer's labels are those of no pod near a policy, not even one by one."""
    chosen, near = peer["podSelector"], {policy.namespace}
    each_label = [{"matchLabels": {k: v}} for k, v in mapping(chosen, "matchLabels").items()]
    return population.selects_nothing(chosen, near) and not any(
        population.select(label, near) for label in each_label
    )


def _monitors(environment: Environment, population: Population) -> Iterator[Problem]:
    """ServiceMonitors whose Services are all of this repository, and none fits."""
    for monitor in environment.of("ServiceMonitor"):
        spec = mapping(monitor.value, "spec")
        names = {str(each) for each in items(spec, "namespaceSelector", "matchNames")}
        names = names or {monitor.namespace}
        services = [
            each
            for each in environment.of("Service")
            if each.namespace in names and selects(dig(spec, "selector"), each.labels)
        ]
        is_open = bool(dig(spec, "namespaceSelector", "any"))
        if not services and not is_open and not any(map(population.origins.is_opaque, names)):
            yield problem(monitor, "selects no Service", "spec", "selector")
        ports = {
            text(port, "name") for each in services for port in items(each.value, "spec", "ports")
        }
        for index, endpoint in enumerate(items(spec, "endpoints")):
            port = text(endpoint, "port")
            if services and port and port not in ports:
                message = f"no Service that it selects has a port {port}"
                yield problem(monitor, message, "spec", "endpoints", index, "port")


@rule(
    "networking/ports",
    why="a Service that sends to a port nobody declares, or a policy that opens another one, makes "
    "every request time out, with nothing in any log",
    fix="name a port that the container declares",
)
def ports(environment: Environment) -> Iterator[Problem]:
    for service in environment.of("Service"):
        subjects = pods_of_service(service, environment)
        for index, port in enumerate(items(service.value, "spec", "ports")):
            target = dig(port, "targetPort") or dig(port, "port")
            numbers = port_numbers(subjects, target)
            meant = port_numbers(subjects, text(port, "name")) if text(port, "name") else set()
            where = ("spec", "ports", index, "targetPort")
            if subjects and not numbers:
                yield problem(service, f"no pod behind it declares port {target}", *where)
            elif meant and not meant & numbers:
                message = (
                    f"sends {text(port, 'name')} to {target}, which is another port of its pods"
                )
                yield problem(service, message, *where)
    for policy in environment.of("NetworkPolicy"):
        subjects = pods_of_policy(policy, environment)
        for at, allowed in enumerate(items(policy.value, "spec", "ingress")):
            for index, port in enumerate(items(allowed, "ports")):
                opened = dig(port, "port")
                if subjects and not port_numbers(subjects, opened):
                    message = f"opens {opened}, which the pods do not declare"
                    yield problem(policy, message, "spec", "ingress", at, "ports", index, "port")
    yield from _backends(environment)
    yield from _telemetry(environment)
    yield from _monitors_find_ports(environment)


def _monitors_find_ports(environment: Environment) -> Iterator[Problem]:
    """PodMonitors that ask a port which none of their pods has."""
    population = Population(environment)
    for monitor in environment.of("PodMonitor"):
        subjects = _pods_of_monitor(environment, monitor)
        for where, port in _scrape_ports(monitor):
            known = None if subjects else population.ports(_namespaces(monitor))
            if subjects and not port_numbers(subjects, port):
                yield problem(monitor, f"no pod that it selects declares port {port}", *where)
            elif known and isinstance(port, str) and port not in known:
                hint = did_you_mean(port, known)
                yield problem(monitor, f"no pod there has a port {port}{hint}", *where)


def _pods_of_monitor(environment: Environment, monitor: Object) -> list[Pod]:
    """The pods of this repository that a PodMonitor selects."""
    return [
        each
        for each in pods(environment)
        if each.owner.namespace in _namespaces(monitor)
        and selects(monitor.dig("spec", "selector"), each.labels)
    ]


def _namespaces(monitor: Object) -> set[str]:
    listed = {str(e) for e in items(monitor.value, "spec", "namespaceSelector", "matchNames")}
    return listed or {monitor.namespace}


def _scrape_ports(monitor: Object) -> Iterator[tuple[KeyPath, object]]:
    """Each port that a PodMonitor asks, and where it says so."""
    for index, endpoint in enumerate(items(monitor.value, "spec", "podMetricsEndpoints")):
        for key in ("port", "portNumber", "targetPort"):
            if port := dig(endpoint, key):
                yield ("spec", "podMetricsEndpoints", index, key), port


def _backends(environment: Environment) -> Iterator[Problem]:
    """Routes that send to a port which their Service lacks, or which speaks something else."""
    for route in environment.of(*ROUTES):
        for at, choice in enumerate(items(route.value, "spec", "rules")):
            for index, target in enumerate(items(choice, "backendRefs")):
                where = ("spec", "rules", at, "backendRefs", index, "port")
                name, port = text(target, "name"), dig(target, "port")
                namespace = text(target, "namespace") or route.namespace
                service = environment.find("Service", name, namespace)
                ports = items(service and service.value, "spec", "ports")
                chosen = [each for each in ports if dig(each, "port") == port]
                grpc = [each for each in ports if _speaks_grpc(each)]
                if service and not chosen:
                    yield problem(route, f"{name} has no port {port}", *where)
                # Only where the Service has both is it known which one is meant.
                elif name in FLUX_SERVICES and namespace == "flux-system" and port != 80:
                    yield problem(route, f"{name} of Flux has port 80 alone", *where, to=80)
                elif 0 < len(grpc) < len(ports) and _is_another(chosen[0], route, choice):
                    right = [each for each in ports if (each in grpc) != (chosen[0] in grpc)]
                    meant = dig(right[0], "port")
                    message = f"{port} of {name} is {text(chosen[0], 'name')}; {meant} is meant?"
                    yield problem(route, message, *where, to=meant)


def _telemetry(environment: Environment) -> Iterator[Problem]:
    """Collectors of the gateway's spans that their Service has no such port for."""
    for proxy in environment.of("EnvoyProxy"):
        for index, backend in enumerate(items(proxy.value, *_COLLECTORS)):
            namespace = text(backend, "namespace") or proxy.namespace
            service = environment.find("Service", text(backend, "name"), namespace)
            listed = items(service and service.value, "spec", "ports")
            ports = [dig(each, "port") for each in listed]
            if service and dig(backend, "port") not in ports:
                message = f"{service.name} has no port {dig(backend, 'port')}"
                yield problem(proxy, message, *_COLLECTORS, index, "port")


def _is_another(port: object, route: Object, choice: object) -> bool:
    """Whether a port is not for the protocol of a route's rule.

    An HTTPRoute carries gRPC too, where a path of the rule names a service.
    """
    if route.kind == "GRPCRoute":
        return not _speaks_grpc(port)
    paths = f"{[dig(each, 'path') for each in items(choice, 'matches')]} {dig(choice, 'filters')}"
    return _speaks_grpc(port) and re.search(r"/(\w+\.)+\w+", paths) is None


def _speaks_grpc(port: object) -> bool:
    return text(port, "appProtocol") in _GRPC or text(port, "name").startswith("grpc")


@rule(
    "networking/reaches",
    why="packets that a NetworkPolicy does not let through are dropped without a word: the gateway "
    "answers 503 after a while, or clients wait for a connection",
    fix="let them through: the listener's port (plus 10000 below 1024) at the proxies, and at the "
    "servers the proxies' namespace and labels, as one peer",
    references=("https://kubernetes.io/docs/concepts/services-networking/network-policies/",),
)
def traffic_gets_through(environment: Environment) -> Iterator[Problem]:
    population = Population(environment)
    for proxies in population.proxies:
        yield from _clients_reach(environment, population, proxies)
        for resident, ports in _peers_of_proxies(environment, population, proxies):
            yield from _blocking(environment, proxies, resident, ports)
    yield from _scrapers_reach(environment, population)


def _peers_of_proxies(
    environment: Environment, population: Population, proxies: Resident
) -> Iterator[tuple[Resident, set[int]]]:
    """Whom proxies call, each with the ports: their controller, servers, Flux, a collector."""
    yield from ((controller, {_XDS}) for controller in population.controllers)
    called: dict[str, tuple[Resident, set[int]]] = {}
    routes = [e.route for e in attachments(environment) if e.gateway is proxies.owner]
    targets = [each for route in routes for each in _pods_behind(environment, route)]
    parameters = population.parameters(proxies.owner)
    for backend in items(parameters and parameters.value, *_COLLECTORS):
        targets += _pods_of_backend(environment, backend, proxies.namespace)
    for pod, port in targets:
        resident = Resident(pod.owner, pod.owner.namespace, pod.labels)
        called.setdefault(str(pod.owner), (resident, set()))[1].add(port)
    yield from called.values()
    if any(map(leads_to_receivers, routes)):
        for controller in population.flux:
            if controller.labels["app"] == "notification-controller":
                yield controller, {_WEBHOOKS}


def _scrapers_reach(environment: Environment, population: Population) -> Iterator[Problem]:
    """Whether Prometheus gets to the pods that PodMonitors select."""
    for prometheus in population.scrapers:
        by_pod: dict[str, tuple[Resident, set[int]]] = {}
        for monitor in environment.of("PodMonitor"):
            for each in _pods_of_monitor(environment, monitor):
                resident = Resident(each.owner, each.owner.namespace, each.labels)
                entry = by_pod.setdefault(str(each.owner), (resident, set()))
                for _, port in _scrape_ports(monitor):
                    entry[1].update(port_numbers([each], port))
        for resident, ports in by_pod.values():
            yield from _blocking(environment, prometheus, resident, ports)


def _pods_behind(environment: Environment, route: Object) -> Iterator[tuple[Pod, int]]:
    """The pods behind a route, each with the port that it sends to."""
    for choice in items(route.value, "spec", "rules"):
        for target in items(choice, "backendRefs"):
            yield from _pods_of_backend(environment, target, route.namespace)


def _pods_of_backend(
    environment: Environment, target: object, namespace: str
) -> Iterator[tuple[Pod, int]]:
    """The pods behind a backendRef, each with the port that it means."""
    where = text(target, "namespace") or namespace
    service = environment.find("Service", text(target, "name"), where)
    for port in items(service and service.value, "spec", "ports"):
        if service and dig(port, "port") == dig(target, "port"):
            yield from listeners(environment, service, port)


def _clients_reach(
    environment: Environment, population: Population, proxies: Resident
) -> Iterator[Problem]:
    """Whether somebody gets to each listener of a Gateway: from where, is its policies' matter."""
    where = ("spec", "provider", "kubernetes", "useListenerPortAsContainerPort")
    parameters = population.parameters(proxies.owner)
    policies = policies_at(environment, proxies, "Ingress")
    for index, listener in enumerate(items(proxies.owner.value, "spec", "listeners")):
        port = dig(listener, "port")
        if not isinstance(port, int):
            continue
        as_is = port >= 1024 or (parameters and parameters.dig(*where) is True)
        number = port if as_is else port + _SHIFTED
        opened = [
            allowed
            for policy in policies
            for allowed in items(policy.value, "spec", "ingress")
            if opens(allowed, number)
        ]
        if policies and not opened:
            names = " and ".join(map(str, policies))
            message = f"proxies listen on {number}, which {names} does not open"
            yield problem(proxies.owner, message, "spec", "listeners", index, "port")


def _blocking(
    environment: Environment, source: Resident, target: Resident, ports: set[int]
) -> Iterator[Problem]:
    for each in barriers(environment, source, target, ports):
        yield each.problem()
