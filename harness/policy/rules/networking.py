"""Networking inside the cluster: everything reaches what it must, and nothing else."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from harness.core.problem import Problem
from harness.core.values import Value, dig, items, mapping, text
from harness.policy.pods import Pod, pods, pods_of_service, selects
from harness.policy.quantity import number
from harness.policy.rule import problem, rule
from harness.policy.serving import servers
from harness.render.objects import Object
from harness.render.rendered import Environment

_POLICY = ("spec", "podSelector")
_AGENT = "169.254.170.23"  # the Pod Identity agent of every EKS node
_GROUP, _INSTANCE = "torchserve/group", "app.kubernetes.io/instance"
_NEEDED = {53: "DNS", 443: "S3", 80: "the Pod Identity agent"}


@rule(
    "networking/service-skips-jobs",
    why="a Job, a test pod or another workload behind the Service gets a share of the requests",
    fix="select app.kubernetes.io/component as well, and give other pods labels of their own",
)
def service_skips_jobs(environment: Environment) -> Iterator[Problem]:
    serving = [server.pod.owner for server in servers(environment)]
    for service in environment.of("Service"):
        subjects = pods_of_service(service, environment)
        is_ours = any(subject.owner in serving for subject in subjects)
        for subject in subjects:
            other = is_ours and subject.owner not in serving
            if other or subject.owner.kind in ("Job", "CronJob", "Pod"):
                message = f"also sends to {subject.owner}"
                yield problem(service, message, "spec", "selector")


@rule(
    "networking/group-label",
    why="network policies, budgets and spread find a group's servers by torchserve/group, a canary "
    "controller by app.kubernetes.io/instance: a Job's pod that has them gets requests, a server "
    "that lacks the first has no permission and no protection",
    fix="give torchserve/group, with a value of its own in the environment, to the servers' pods "
    "alone (torchserve.group), and Jobs an instance of their own (torchserve.jobLabels)",
)
def group_label(environment: Environment) -> Iterator[Problem]:
    taken: set[tuple[str, str]] = set()
    instances = set()
    for server in servers(environment):
        namespace, group = server.pod.owner.namespace, text(server.pod.labels, _GROUP)
        if not group:
            yield server.pod.labels_problem(f"has no label {_GROUP}")
        elif (namespace, group) in taken:
            yield server.pod.labels_problem(f"another server's pods have {_GROUP}: {group} too")
        taken.add((namespace, group))
        instances.add((namespace, text(server.pod.labels, _INSTANCE)))
    for subject in pods(environment, "Job", "CronJob", "Pod"):
        namespace = subject.owner.namespace
        for label, values in ((_GROUP, taken), (_INSTANCE, instances)):
            if (namespace, text(subject.labels, label)) in values:
                yield subject.labels_problem(f"has the {label} of a group's servers")


@rule(
    "networking/not-public",
    why="a LoadBalancer or NodePort goes around TLS and authentication of the gateway",
    fix="type: ClusterIP, and a route of the gateway; where something else keeps strangers out, an "
    "exception in exceptions.yaml says what, and until when (decision 5)",
    references=("CIS EKS 5.4.5",),
    kinds=("Service",),
    like=(
        "kube-linter exposed-services",
        "kube-score service-type",
    ),
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
    references=("NSA/CISA C-0030", "CIS EKS 4.3.2"),
    like=(
        "kube-linter non-isolated-pod",
        "kube-score pod-networkpolicy",
    ),
)
def network_policies(environment: Environment) -> Iterator[Problem]:
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
    "networking/sync-reaches",
    why="a sync Job that cannot ask DNS, S3 or the Pod Identity agent waits for its deadline, and "
    "with it the upgrade",
    fix="allow its egress to port 53, to port 443, and to 169.254.170.23 on port 80",
)
def sync_reaches(environment: Environment) -> Iterator[Problem]:
    for subject in pods(environment, "Job"):
        policies = list(_policies(environment, subject))
        opened = [
            (each, dig(port, "port"))
            for policy in policies
            for each in items(policy.value, "spec", "egress")
            for port in items(each, "ports")
        ]
        agent = any(port == 80 and _holds(allowed, _AGENT) for allowed, port in opened)
        reached = [port for _, port in opened if port != 80 or agent]
        for port, what in _NEEDED.items() if subject.reads_s3 and policies else ():
            if port not in reached:
                widest = max(policies, key=lambda each: len(items(each.value, "spec", "egress")))
                yield problem(widest, f"keeps the sync Job from {what}", "spec", "egress")


def _holds(allowed: object, address: str) -> bool:
    """Whether an egress rule lets packets out to an address."""
    return any(
        _inside(address, dig(peer, "ipBlock", "cidr"))
        and not any(_inside(address, each) for each in items(peer, "ipBlock", "except"))
        for peer in items(allowed, "to")
    )


def _inside(address: str, network: object) -> bool:
    try:
        return ip_address(address) in ip_network(str(network))
    except ValueError:  # not a network: the API server says so
        return False


@rule(
    "networking/closed-to-strangers",
    why="an ingress rule without `from` lets the whole cluster ask a GPU for work",
    fix="name the gateway's and Prometheus's namespaces in `from`",
    references=("NSA/CISA C-0030",),
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
    references=("CVE-2023-43654",),
)
def no_management_port(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        closed = (
            server.address("management_address")[1] or 8081,
            server.address("metrics_address")[1] or 8082,
            number(server.setting("grpc_management_port"), 7071),
        )
        for service in environment.of("Service"):
            for index, port in enumerate(items(service.value, "spec", "ports")):
                if dig(port, "targetPort") in closed or dig(port, "port") in closed:
                    message = f"opens {dig(port, 'port')}, which belongs to the launcher"
                    yield problem(service, message, "spec", "ports", index)
