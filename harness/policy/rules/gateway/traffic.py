"""The gateway: TLS, a known caller, one prediction for one request."""

import re
from collections.abc import Iterable, Iterator

from harness.core.fix import REMOVED
from harness.core.problem import Problem
from harness.core.values import Key, KeyPath, dig, items, text
from harness.policy.facts.attachments import Attachment, attachments
from harness.policy.facts.gateway_access import ROUTES
from harness.policy.facts.pods import pods_of_service
from harness.policy.facts.quantity import number, quantity, seconds
from harness.policy.facts.serving import servers
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_BUFFERS = (("spec", "connection", "bufferLimit"), ("spec", "http2", "initialStreamWindowSize"))
_ENVOY_TIMEOUT = 15  # seconds: Envoy's own default for a route
# Times that are a slip of the unit below these, in seconds: ms instead of s.
_LEAST: tuple[tuple[str, KeyPath, float], ...] = (
    ("ClientTrafficPolicy", ("spec", "timeout", "http", "requestReceivedTimeout"), 5),
    ("ClientTrafficPolicy", ("spec", "timeout", "http", "idleTimeout"), 1),
    ("BackendTrafficPolicy", ("spec", "timeout", "tcp", "connectTimeout"), 0.1),
    ("BackendTrafficPolicy", ("spec", "timeout", "http", "connectionIdleTimeout"), 1),
)
_PROXY_MEMORY = (
    *("spec", "provider", "kubernetes", "envoyDeployment"),
    *("container", "resources", "limits", "memory"),
)
# What leads requests to a Service without the gateway: Kubernetes' own, Gateway API's routes of
# connections, and the kinds of other proxies.
_OTHER_WAYS = {
    ("networking.k8s.io", "Ingress"),
    *(("gateway.networking.k8s.io", f"{kind}Route") for kind in ("TCP", "TLS", "UDP")),
    ("networking.istio.io", "VirtualService"),
    ("gateway.envoyproxy.io", "Backend"),  # an address that a route may name instead of a Service
}
_GENERATED = r"(-grpc|-models(-\d+-of-\d+)?|-v2)?"  # names of routes: harness.snapshot.routes
_OTHER_GROUPS = (
    "getambassador.io",
    "k8s.nginx.org",
    "konghq.com",
    "projectcontour.io",
    "route.openshift.io",
    "traefik.containo.us",
    "traefik.io",
)


@rule(
    "gateway/one-way-in",
    why="what leads to the servers around the gateway has neither its tokens nor its limits; a "
    "route that no snapshot wrote opens what nobody compared with the models",
    fix="remove it: `make snapshot` writes the routes, `cors` and `protocols` of serving.yaml open "
    "more; where something else keeps strangers out, an exception in exceptions.yaml says what, "
    "and until when (decision 5)",
    references=("CIS EKS 5.4.5",),
)
def one_way_in(environment: Environment) -> Iterator[Problem]:
    served = [
        service
        for service in environment.of("Service")
        if any(
            subject.owner == server.pod.owner
            for subject in pods_of_service(service, environment)
            for server in servers(environment)
        )
    ]
    for way in environment.objects:
        for service in served if _is_way(way) else ():
            known = re.fullmatch(rf"{re.escape(service.name)}{_GENERATED}", way.name)
            where = _mention(way.value, service)
            if where and not (known and way.kind in ROUTES):
                yield problem(way, f"leads to {service}", *where)


def _is_way(item: Object) -> bool:
    """Whether requests come in by an object of this kind."""
    is_other = (item.group, item.kind) in _OTHER_WAYS or item.group.endswith(_OTHER_GROUPS)
    return is_other or item.kind in ROUTES


_NO_TARGETS = ("metadata", "parentRefs")


def _mention(part: object, service: Object, path: KeyPath = ()) -> KeyPath:
    """The first place that names a Service, alone or as a host of the cluster; () if none does."""
    if isinstance(part, str):
        host = f"{service.name}.{service.namespace}"
        return path if part in (service.name, host) or part.startswith(f"{host}.") else ()
    pairs: Iterable[tuple[Key, object]] = ()
    if isinstance(part, dict):
        # The Gateway, which the parents of a route name, is called like the first group.
        pairs = ((key, each) for key, each in part.items() if key not in _NO_TARGETS)
    elif isinstance(part, list):
        pairs = enumerate(part)
    places = (_mention(each, service, (*path, key)) for key, each in pairs)
    return next(filter(None, places), ())


@rule(
    "gateway/tls",
    why="the caller's token would cross the network in the clear; a host that the certificate does "
    "not name fails in every client",
    fix="protocol: HTTPS, tls.mode Terminate, and a Certificate of that secretName whose dnsNames "
    "cover the routes",
    references=("CIS EKS 5.4.5",),
)
def tls(environment: Environment) -> Iterator[Problem]:
    certificates = list(environment.of("Certificate"))
    issued = [text(certificate.value, "spec", "secretName") for certificate in certificates]
    names = [
        str(name)
        for certificate in certificates
        for name in items(certificate.value, "spec", "dnsNames")
    ]
    for gateway in environment.of("Gateway"):
        for index, listener in enumerate(items(gateway.value, "spec", "listeners")):
            for message, path in _weaknesses(listener, issued):
                yield problem(gateway, message, "spec", "listeners", index, *path)
    for route in environment.of(*ROUTES):
        for index, host in enumerate(items(route.value, "spec", "hostnames")):
            if not any(_names(name, str(host)) for name in names):
                yield problem(route, f"no certificate names {host}", "spec", "hostnames", index)


def _weaknesses(listener: object, issued: list[str]) -> Iterator[tuple[str, KeyPath]]:
    """What is wrong with the TLS of a listener, and where below it."""
    if text(listener, "protocol") not in ("HTTPS", "TLS"):
        yield f"listener {text(listener, 'name')} is {text(listener, 'protocol')}", ("protocol",)
    if text(listener, "tls", "mode") == "Passthrough":
        yield "passes connections through: the gateway sees no token", ("tls", "mode")
    for index, reference in enumerate(items(listener, "tls", "certificateRefs")):
        if text(reference, "name") not in issued:
            where = ("tls", "certificateRefs", index, "name")
            yield f"nothing makes the certificate {text(reference, 'name')}", where


def _names(name: str, host: str) -> bool:
    """Whether a certificate's name covers a host: ``*`` is one label (RFC 9525, 6.3)."""
    label, _, domain = host.partition(".")
    return name == host or (name == f"*.{domain}" and label != "*")


@rule(
    "gateway/buffers-fit",
    why="a proxy keeps the bodies of the requests in flight, for a retry on another pod: at its "
    "limit the kubelet kills it, with every request that it carries",
    fix="lower bufferLimit, initialStreamWindowSize or maxParallelRequests, or raise the memory "
    "limit of EnvoyProxy: Envoy Gateway lets Envoy use 80 % of it",
)
def buffers_fit(environment: Environment) -> Iterator[Problem]:
    policies = list(environment.of("ClientTrafficPolicy"))
    buffers = [number(policy.dig(*where), 32768) for policy in policies for where in _BUFFERS]
    parallel = [
        number(policy.dig("spec", "circuitBreaker", "maxParallelRequests"), 1024)
        for policy in environment.of("BackendTrafficPolicy")
    ]
    needed = max(buffers, default=0) * max(parallel, default=0)
    for proxy in environment.of("EnvoyProxy"):
        limit = quantity(proxy.dig(*_PROXY_MEMORY))
        if limit is not None and limit * 8 / 10 < needed:
            message = f"bodies in flight may take {needed / 2**20:,.0f} MiB, 80 % of {{}} are less"
            yield problem(proxy, message.format(proxy.dig(*_PROXY_MEMORY)), *_PROXY_MEMORY)


@rule(
    "gateway/no-second-prediction",
    why="a retried prediction is computed twice, and a retry after 503 makes the full queue fuller",
    fix="retry on connect-failure alone",
    kinds=("BackendTrafficPolicy",),
)
def no_second_prediction(policy: Object) -> Iterator[Problem]:
    where = ("spec", "retry", "retryOn")
    if set(map(str, items(policy.value, *where, "triggers"))) - {"connect-failure"}:
        yield problem(
            policy,
            "retries what may have been computed",
            *where,
            "triggers",
            to=["connect-failure"],
        )
    if items(policy.value, *where, "httpStatusCodes"):
        yield problem(policy, "retries answers", *where, "httpStatusCodes", to=REMOVED)


@rule(
    "gateway/request-timeout",
    why="a gateway that hangs up before TorchServe answers makes a failure of a good prediction",
    fix="set requestTimeout above the longest responseTimeout, in a BackendTrafficPolicy for the "
    "Gateway; uploads have requestReceivedTimeout of a ClientTrafficPolicy",
)
def patience(environment: Environment) -> Iterator[Problem]:
    longest = max((server.longest("responseTimeout") for server in servers(environment)), default=0)
    policies = list(environment.of("BackendTrafficPolicy"))
    for policy in policies:
        where = ("spec", "timeout", "http", "requestTimeout")
        limit = seconds(policy.dig(*where), _ENVOY_TIMEOUT)
        if limit < longest:
            message = f"hangs up after {limit:g} s, a prediction may take {longest} s"
            yield problem(policy, message, *where)
    for kind, path, least in _LEAST:
        for policy in environment.of(kind):
            limit = seconds(policy.dig(*path), least)
            if 0 < limit < least:  # 0 is not a limit
                message = f"hangs up after {limit:g} s: no less than {least:g} s makes sense"
                yield problem(policy, message, *path)
    if longest > _ENVOY_TIMEOUT:
        yield from _without_policy(environment, policies)


def _without_policy(environment: Environment, policies: list[Object]) -> Iterator[Problem]:
    """Routes for which Envoy's own timeout holds: all of a Gateway's are one problem."""
    routes: dict[str, list[Attachment]] = {}
    for each in attachments(environment):
        routes.setdefault(str(each.gateway), []).append(each)
    for attached in routes.values():
        bare = [each for each in attached if not _has_timeout(each, policies)]
        if len(bare) == len(attached):
            bare = bare[:1]
            subject = bare[0].gateway
            message = "no BackendTrafficPolicy is for it or its routes"
            message += f": Envoy hangs up after {_ENVOY_TIMEOUT} s"
            yield problem(subject, message, "metadata", "name")
            continue
        for route in dict.fromkeys(str(each.route) for each in bare):
            subject = next(each.route for each in bare if str(each.route) == route)
            message = f"no BackendTrafficPolicy is for it: Envoy hangs up after {_ENVOY_TIMEOUT} s"
            yield problem(subject, message, "metadata", "name")


def _has_timeout(attached: Attachment, policies: list[Object]) -> bool:
    """Whether a policy, or each rule of a route itself, says how long a request may take."""
    rules = items(attached.route.value, "spec", "rules")
    if rules and all(dig(each, "timeouts", "request") for each in rules):
        return True
    return any(
        policy.dig("spec", "targetSelectors") is not None
        or any(
            (text(target, "kind"), text(target, "name"), policy.namespace)
            == (subject.kind, subject.name, subject.namespace)
            for target in [
                *items(policy.value, "spec", "targetRefs"),
                policy.dig("spec", "targetRef"),
            ]
        )
        for policy in policies
        for subject in (attached.route, attached.gateway)
    )
