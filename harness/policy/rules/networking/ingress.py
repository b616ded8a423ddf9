"""Networking inside the cluster: everything reaches what it must, and nothing else."""

from collections.abc import Iterator

from harness.core.fix import REMOVED
from harness.core.problem import Problem
from harness.core.values import Value, dig, items, mapping, text
from harness.policy.facts.pods import pods, pods_of_service, policies_of_pod
from harness.policy.facts.quantity import number
from harness.policy.facts.serving import servers
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_GROUP, _INSTANCE = "torchserve/group", "app.kubernetes.io/instance"


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
        yield problem(service, "is open to the outside", "spec", "type", to="ClusterIP")
    if items(service.value, "spec", "externalIPs"):
        yield problem(service, "takes external addresses", "spec", "externalIPs", to=REMOVED)


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
        policies = list(policies_of_pod(subject, environment))
        for direction in ("Ingress", "Egress"):
            if not any(
                direction in items(policy.value, "spec", "policyTypes") for policy in policies
            ):
                message = f"no NetworkPolicy limits its {direction.lower()}"
                yield problem(subject.owner, message, "metadata", "name")


@rule(
    "networking/closed-to-strangers",
    why="an ingress rule without `from` lets the whole cluster ask a GPU for work; elsewhere one "
    "that names no port either is not a policy at all",
    fix="name the gateway's and Prometheus's namespaces in `from`, and the ports",
    references=("NSA/CISA C-0030",),
)
def closed_to_strangers(environment: Environment) -> Iterator[Problem]:
    served = {server.pod.owner.namespace for server in servers(environment)}
    for policy in environment.of("NetworkPolicy"):
        for index, allowed in enumerate(items(policy.value, "spec", "ingress")):
            # What is called by clients or the API server names the port.
            if policy.namespace not in served and items(allowed, "ports"):
                continue
            peers = items(allowed, "from")
            if not peers:
                to = REMOVED if policy.namespace in served else None
                yield problem(policy, "lets anyone in", "spec", "ingress", index, to=to)
            for at, peer in enumerate(peers):
                if _anyone(mapping(peer)):
                    where = ("spec", "ingress", index, "from", at)
                    yield problem(policy, "lets anyone in", *where)


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
