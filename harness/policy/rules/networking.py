"""Networking inside the cluster: everything reaches what it must, and nothing else."""

from collections.abc import Iterator

from harness.policy.finding import Problem
from harness.policy.pods import Pod, behind, pods, selects
from harness.policy.rule import problem, rule
from harness.policy.serving import servers
from harness.render.objects import Environment, Object, Value, dig, items, mapping, text

_POLICY = ("spec", "podSelector")


@rule(
    "networking/selects",
    why="a Service whose selector fits no pod refuses every request, a policy protects nothing, "
    "and both look as if they did their work",
    fix="make the selector equal the labels of the pod template",
)
def selects_pods(environment: Environment) -> Iterator[Problem]:
    for service in environment.of("Service"):
        if mapping(service.value, "spec", "selector") and not behind(service, environment):
            yield problem(service, "selects no pod", "spec", "selector")
    for policy in environment.of("NetworkPolicy"):
        here = [each for each in pods(environment) if each.owner.namespace == policy.namespace]
        # In other namespaces the pods come from charts that are not rendered here.
        if here and mapping(policy.value, *_POLICY) and not _selected(environment, policy):
            yield problem(policy, "selects no pod", *_POLICY)


def _selected(environment: Environment, policy: Object) -> list[Pod]:
    return [
        subject
        for subject in pods(environment)
        if subject.owner.namespace == policy.namespace
        and selects(policy.dig(*_POLICY), subject.labels)
    ]


@rule(
    "networking/service-skips-jobs",
    why="a Job or a test pod behind the Service gets a share of the requests while it runs",
    fix="select app.kubernetes.io/component as well",
)
def service_skips_jobs(environment: Environment) -> Iterator[Problem]:
    for service in environment.of("Service"):
        for subject in behind(service, environment):
            if subject.owner.kind in ("Job", "CronJob", "Pod"):
                message = f"also sends to {subject.owner}"
                yield problem(service, message, "spec", "selector")


@rule(
    "networking/ports",
    why="a Service that sends to a port nobody declares, or a policy that opens another one, makes "
    "every request time out, with nothing in any log",
    fix="name a port that the container declares",
)
def ports(environment: Environment) -> Iterator[Problem]:
    for service in environment.of("Service"):
        subjects = behind(service, environment)
        for index, port in enumerate(items(service.value, "spec", "ports")):
            target = dig(port, "targetPort") or dig(port, "port")
            if subjects and not _listens(subjects, target):
                message = f"no pod behind it declares port {target}"
                yield problem(service, message, "spec", "ports", index, "targetPort")
    for policy in environment.of("NetworkPolicy"):
        subjects = _selected(environment, policy)
        for at, allowed in enumerate(items(policy.value, "spec", "ingress")):
            for index, port in enumerate(items(allowed, "ports")):
                wanted = dig(port, "port")
                if subjects and not _listens(subjects, wanted):
                    message = f"opens {wanted}, which the pods do not declare"
                    yield problem(policy, message, "spec", "ingress", at, "ports", index, "port")


def _listens(subjects: list[Pod], port: object) -> bool:
    return any(
        container.port(port) is not None for subject in subjects for container in subject.containers
    )


@rule(
    "networking/not-public",
    why="a LoadBalancer or NodePort goes around TLS and authentication of the gateway",
    fix="type: ClusterIP, and a route of the gateway",
    clauses=("CIS EKS 5.4.5",),
    kinds=("Service",),
)
def not_public(service: Object) -> Iterator[Problem]:
    if text(service.value, "spec", "type") in ("LoadBalancer", "NodePort"):
        yield problem(service, "is open to the outside", "spec", "type")
    if items(service.value, "spec", "externalIPs"):
        yield problem(service, "takes external addresses", "spec", "externalIPs")


@rule(
    "networking/isolated",
    why="a pod that no policy selects talks to everything, and everything talks to it",
    fix="add a NetworkPolicy for the pod, with policyTypes Ingress and Egress",
    clauses=("NSA/CISA C-0030", "CIS EKS 4.3.2"),
)
def isolated(environment: Environment) -> Iterator[Problem]:
    for subject in pods(environment):
        policies = list(_policies(environment, subject))
        for direction in ("Ingress", "Egress"):
            if not any(
                direction in items(policy.value, "spec", "policyTypes") for policy in policies
            ):
                message = f"no NetworkPolicy limits its {direction.lower()}"
                yield problem(subject.owner, message, "metadata", "name")


def _policies(environment: Environment, subject: Pod) -> Iterator[Object]:
    for policy in environment.of("NetworkPolicy"):
        if policy.namespace == subject.owner.namespace and selects(
            policy.dig(*_POLICY), subject.labels
        ):
            yield policy


@rule(
    "networking/closed-to-strangers",
    why="an ingress rule without `from` lets the whole cluster ask a GPU for work",
    fix="name the gateway's and Prometheus's namespaces in `from`",
    clauses=("NSA/CISA C-0030",),
)
def closed_to_strangers(environment: Environment) -> Iterator[Problem]:
    served = {server.pod.owner.namespace for server in servers(environment)}
    for policy in environment.of("NetworkPolicy"):
        ingress = items(policy.value, "spec", "ingress") if policy.namespace in served else []
        for index, allowed in enumerate(ingress):
            peers = items(allowed, "from")
            if not peers or any(_anyone(mapping(peer)) for peer in peers):
                yield problem(policy, "lets anyone in", "spec", "ingress", index)


def _anyone(peer: Value) -> bool:
    return text(peer, "ipBlock", "cidr") in ("0.0.0.0/0", "::/0") or (
        "ipBlock" not in peer
        and not any(mapping(selector) for selector in peer.values())
        and "namespaceSelector" in peer
    )


@rule(
    "networking/management-closed",
    why="the management port runs whatever model it is handed; a Service would make it reachable",
    fix="remove the port: only the launcher talks to 8081, 8082 and 7071, on loopback",
    clauses=("CVE-2023-43654",),
)
def management_closed(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        closed = {
            server.address("management_address")[1] or 8081,
            server.address("metrics_address")[1] or 8082,
            int(server.setting("grpc_management_port") or 7071),
        }
        for service in environment.of("Service"):
            for index, port in enumerate(items(service.value, "spec", "ports")):
                if {dig(port, "targetPort"), dig(port, "port")} & closed:
                    message = f"opens {dig(port, 'port')}, which belongs to the launcher"
                    yield problem(service, message, "spec", "ports", index)
