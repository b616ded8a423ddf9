"""Routes that really attach: to a listener that takes them, with hosts that it answers for."""

from collections import Counter
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import KeyPath, dig, items, mapping, text
from harness.policy.facts.attachments import Attachment, attachments
from harness.policy.facts.gateway_access import ROUTES
from harness.policy.facts.pods import selects
from harness.policy.facts.population import NAME
from harness.policy.facts.references import references
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_GRANTED = ("Service", "Secret")
_SAME = {"sectionName": "name", "port": "port"}  # of a parent, and of its listener
# What a listener of these protocols takes: no HTTP (Gateway API, ListenerSpec).
_OTHER_PROTOCOLS = ("TCP", "TLS", "UDP")


@rule(
    "gateway/attaches",
    why="a route that no listener takes, or whose host none answers for, answers 404 for all, and "
    "only its status says so",
    fix="let a listener of the Gateway take it: its name and port in parentRefs, allowedRoutes for "
    "the route's namespace and kind, a hostname that covers the route's; gRPC and REST have hosts "
    "of their own",
    references=("https://gateway-api.sigs.k8s.io/reference/spec/#allowedroutes",),
)
def routes_attach(environment: Environment) -> Iterator[Problem]:
    for each in attachments(environment):
        listeners = list(each.listeners)
        if not listeners:
            key = "port" if each.route.dig(*each.where, "port") else "sectionName"
            name = each.route.dig(*each.where, key)
            known = [dig(one, _SAME[key]) for one in items(each.gateway.value, "spec", "listeners")]
            message = f"{each.gateway.name} has no listener {name}"
            only = known[0] if len(known) == 1 else None
            yield problem(each.route, message, *each.where, key, to=only)
            continue
        refusals = [_refusal(environment, each, index) for index, _ in listeners]
        taking = [
            listener
            for refusal, (_, listener) in zip(refusals, listeners, strict=True)
            if refusal is None
        ]
        if not taking:
            yield from (refusal for refusal in refusals[:1] if refusal)
            continue
        for index, host in enumerate(items(each.route.value, "spec", "hostnames")):
            if not any(overlap(text(listener, "hostname"), str(host)) for listener in taking):
                message = f"no listener of {each.gateway.name} answers for {host}"
                yield problem(each.route, message, "spec", "hostnames", index)
    yield from _shared_hosts(environment)
    yield from _sections(environment)


def _refusal(environment: Environment, attached: Attachment, index: int) -> Problem | None:
    """Why a listener does not take a route, whatever its hosts."""
    gateway, route = attached.gateway, attached.route
    where = ("spec", "listeners", index)
    allowed = mapping(gateway.value, *where, "allowedRoutes")
    kinds = [text(each, "kind") for each in items(allowed, "kinds")]
    protocol = text(gateway.value, *where, "protocol")
    if route.kind not in (kinds or ROUTES) or protocol in _OTHER_PROTOCOLS:
        message = f"listener {text(gateway.value, *where, 'name')} takes no {route.kind}"
        return problem(gateway, message, *where, "allowedRoutes", "kinds")
    how = text(allowed, "namespaces", "from") or "Same"
    selector = dig(allowed, "namespaces", "selector")
    namespace = environment.find("Namespace", route.namespace)
    labels = {NAME: route.namespace, **(namespace.labels if namespace else {})}
    takes = {
        "All": True,
        "None": False,
        "Same": route.namespace == gateway.namespace,
        # Of a namespace that is not declared here only the name is known.
        "Selector": selects(selector, labels) or (not namespace and NAME not in str(selector)),
    }
    if takes.get(how, True):
        return None
    key = "selector" if how == "Selector" else "from"
    message = f"listener {text(gateway.value, *where, 'name')} takes no route of {route.namespace}"
    return problem(gateway, message, *where, "allowedRoutes", "namespaces", key)


def overlap(one: str, other: str) -> bool:
    """Whether two hosts have a name in common; ``*.`` stands for one or more labels."""
    if not one or not other or one == other:
        return True
    wide, narrow = (one, other) if one.startswith("*.") else (other, one)
    return wide.startswith("*.") and narrow.removeprefix("*").endswith(wide[1:])


def _shared_hosts(environment: Environment) -> Iterator[Problem]:
    """Of an HTTPRoute and a GRPCRoute with one host a listener takes the older one alone."""
    hosts: Counter[tuple[str, str, str]] = Counter()
    places: dict[tuple[str, str, str], list[tuple[Object, int]]] = {}
    for each in attachments(environment):
        for index, host in enumerate(items(each.route.value, "spec", "hostnames")):
            key = (each.route.kind, str(each.gateway), str(host))
            hosts[key] += 1
            places.setdefault(key, []).append((each.route, index))
    for (kind, gateway, host), count in hosts.items():
        for (other_kind, other_gateway, other), others in hosts.items():
            clash = (kind, other_kind) == ROUTES and gateway == other_gateway
            if clash and overlap(host, other):
                # The fewer routes are the ones that came to the other kind's host.
                rest = (kind, gateway, host) if count < others else (other_kind, gateway, other)
                for route, index in places[rest]:
                    message = f"{rest[2]} is a host of {kind if rest[0] != kind else other_kind}s"
                    yield problem(route, f"{message} too", "spec", "hostnames", index)


def _sections(environment: Environment) -> Iterator[Problem]:
    """Policies that are for a listener which is not there."""
    kinds = ("SecurityPolicy", "BackendTrafficPolicy", "ClientTrafficPolicy")
    for policy in environment.of(*kinds):
        for index, target in enumerate(items(policy.value, "spec", "targetRefs")):
            section = text(target, "sectionName")
            gateway = environment.find("Gateway", text(target, "name"), policy.namespace)
            if text(target, "kind") == "Gateway" and gateway and section:
                names = [text(each, "name") for each in items(gateway.value, "spec", "listeners")]
                if section not in names:
                    message = f"{gateway.name} has no listener {section}"
                    where = ("spec", "targetRefs", index, "sectionName")
                    yield problem(policy, message, *where)


@rule(
    "gateway/granted",
    why="a route, a Gateway or a policy may name a Service or a Secret of another namespace only "
    "where that allows it: without a ReferenceGrant a route answers 500, a listener has no "
    "certificate",
    fix="add a ReferenceGrant to the namespace that is named: from the kind and namespace of what "
    "names it, to Service or Secret",
    references=("https://gateway-api.sigs.k8s.io/api-types/referencegrant/",),
)
def references_are_granted(environment: Environment) -> Iterator[Problem]:
    declared = {each.name for each in environment.of("Namespace")} | {"flux-system"}
    for source, path, kind in _across(environment):
        namespace, name = text(source.value, *path, "namespace"), text(source.value, *path, "name")
        is_elsewhere = namespace not in ("", source.namespace) and namespace in declared
        if is_elsewhere and not _is_granted(environment, source, kind, name, namespace):
            message = f"nothing in {namespace} lets it use {kind} {name}"
            yield problem(source, message, *path, "namespace")


def _across(environment: Environment) -> Iterator[tuple[Object, KeyPath, str]]:
    """Where objects of the Gateway API may name a Service or a Secret of another namespace."""
    for reference in references(environment):
        if reference.source.kind in (*ROUTES, "SecurityPolicy") and reference.kind in _GRANTED:
            yield reference.source, reference.around, reference.kind
    for gateway in environment.of("Gateway"):
        for at, listener in enumerate(items(gateway.value, "spec", "listeners")):
            for index, _ in enumerate(items(listener, "tls", "certificateRefs")):
                yield gateway, ("spec", "listeners", at, "tls", "certificateRefs", index), "Secret"


def _is_granted(
    environment: Environment, source: Object, kind: str, name: str, namespace: str
) -> bool:
    return any(
        grant.namespace == namespace
        and any(
            (text(each, "kind"), text(each, "namespace")) == (source.kind, source.namespace)
            for each in items(grant.value, "spec", "from")
        )
        and any(
            text(each, "kind") == kind and text(each, "name") in ("", name)
            for each in items(grant.value, "spec", "to")
        )
        for grant in environment.of("ReferenceGrant")
    )
