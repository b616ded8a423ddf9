"""What leaves a pod: servers send to what is named, the sync Job to S3 and nothing private."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from harness.core.problem import Location, Problem
from harness.core.values import KeyPath, dig, items, mapping
from harness.policy.facts.pods import pods, policies_of_pod
from harness.policy.facts.serving import servers
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_AGENT = "169.254.170.23"  # the Pod Identity agent of every EKS node
_NEEDED = {53: "DNS", 443: "S3", 80: "the Pod Identity agent"}
_WIDE = 2**24  # addresses: a /8 of IPv4
# One address of each network that belongs to nobody outside (RFC 1918), and the node's metadata.
_PRIVATE = ("10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254")


@rule(
    "networking/egress",
    why="what a model's code has seen leaves by any address that is open: inputs, weights, the "
    "credentials of the node; a Job that reaches private networks reaches the API server",
    fix="name who is called: a CIDR of your own, or namespaceSelector and podSelector, with its "
    "ports; weights come with the archive, not at run time",
    references=("NSA/CISA C-0030", "CIS EKS 4.3.2"),
    like=("kube-score networkpolicy-targets-pod",),
)
def egress(environment: Environment) -> Iterator[Problem]:
    serving = [server.pod for server in servers(environment)]
    namespaces = {each.owner.namespace for each in serving}
    reported = set()
    for subject in pods(environment) if namespaces else ():
        if subject.owner.namespace not in namespaces:
            continue
        for policy in policies_of_pod(subject, environment):
            for index, allowed in enumerate(items(policy.value, "spec", "egress")):
                message, below = _openness(allowed, is_server=subject in serving)
                at = _place(environment, policy, ("spec", "egress", index, *below))
                if message and at not in reported:
                    reported.add(at)
                    yield Problem(message, at, str(policy))


def _place(environment: Environment, policy: Object, path: KeyPath) -> Location:
    """Where a person wrote an egress rule: `{}` has no text of its own to find again."""
    release = environment.find("HelmRelease", policy.owner.name, policy.owner.namespace)
    values: KeyPath = ("spec", "values", "networkPolicy", "egress")
    if release and policy.dig(*path[:3]) in items(release.value, *values) and not policy.dig(*path):
        return release.at(*values)
    at = policy.at(*path)
    return policy.at("spec", "egress") if at.path.name.startswith("_") else at


def _openness(allowed: object, *, is_server: bool) -> tuple[str, KeyPath]:
    """What an egress rule opens that nobody named, and where; empty if it is all named."""
    ports = [dig(each, "port") for each in items(allowed, "ports")]
    if ports and set(map(str, ports)) <= {"53", "dns", "dns-tcp"}:
        return "", ()
    if not items(allowed, "to"):
        return "lets packets out to every address", ("ports",)
    for index, peer in enumerate(items(allowed, "to")):
        at: KeyPath = ("to", index, "ipBlock", "cidr")
        block = _network(dig(allowed, *at))
        if block and block.num_addresses >= _WIDE and not block.is_private:
            private = [each for each in _PRIVATE if _is_open(peer, each)]
            if is_server:
                return f"lets a server send to {block}", at
            if not ports:
                return f"lets packets out to every port of {block}", at
            if private:
                return f"lets packets out to private addresses ({private[0]}) too: no except", at
        selectors = mapping(peer)
        if "namespaceSelector" in selectors and not any(map(mapping, selectors.values())):
            return "lets packets out to every pod of the cluster", ("to", index)
    return "", ()


def _network(cidr: object) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(str(cidr))
    except ValueError:  # none, or no network: the API server says so
        return None


def _is_open(peer: object, address: str) -> bool:
    """Whether a peer of an egress rule holds an address."""
    return _holds(dig(peer, "ipBlock", "cidr"), address) and not any(
        _holds(each, address) for each in items(peer, "ipBlock", "except")
    )


def _holds(cidr: object, address: str) -> bool:
    network = _network(cidr)
    return network is not None and ip_address(address) in network


@rule(
    "networking/default-deny",
    why="a pod that no policy of its own selects, such as a Job that somebody adds or a debugging "
    "pod, talks to everything in the moment it starts",
    fix="keep infra/policies/torchserve-networkpolicy.yaml: podSelector {} and policyTypes "
    "[Ingress, Egress]",
    references=("CIS EKS 4.3.2",),
)
def default_deny(environment: Environment) -> Iterator[Problem]:
    for name in sorted({server.pod.owner.namespace for server in servers(environment)}):
        for_all = [
            policy
            for policy in environment.of("NetworkPolicy")
            if policy.namespace == name and not _selects_some(policy)
        ]
        limited = {
            str(each) for policy in for_all for each in items(policy.value, "spec", "policyTypes")
        }
        missing = [each for each in ("Ingress", "Egress") if each not in limited]
        where = for_all[0] if for_all else environment.find("Namespace", name)
        if missing and where:
            path = ("spec", "policyTypes") if for_all else ("metadata", "name")
            message = f"no policy limits the {' and '.join(missing).lower()} of every pod in {name}"
            right = ["Ingress", "Egress"] if for_all else None
            yield problem(where, message, *path, to=right)


def _selects_some(policy: Object) -> bool:
    selector = mapping(policy.value, "spec", "podSelector")
    return any(selector.get(key) for key in ("matchLabels", "matchExpressions"))


@rule(
    "networking/sync-reaches",
    why="a sync Job that cannot ask DNS, S3 or the Pod Identity agent waits for its deadline, and "
    "with it the upgrade",
    fix="allow its egress to port 53, to port 443 of public addresses (S3's), and to "
    "169.254.170.23 on port 80",
)
def sync_reaches(environment: Environment) -> Iterator[Problem]:
    for subject in pods(environment, "Job"):
        policies = list(policies_of_pod(subject, environment)) if subject.reads_s3 else []
        reached = _reachable_ports(policies)
        for port, what in _NEEDED.items() if policies else ():
            if port not in reached:
                widest = max(policies, key=lambda each: len(items(each.value, "spec", "egress")))
                yield problem(widest, f"keeps the sync Job from {what}", "spec", "egress")


def _reachable_ports(policies: list[Object]) -> set[object]:
    """The ports of what a sync Job needs at which its policies let it through."""
    reached: set[object] = set()
    for policy in policies:
        for allowed in items(policy.value, "spec", "egress"):
            peers = items(allowed, "to")
            for port in (dig(each, "port") for each in items(allowed, "ports")):
                fits = {
                    80: any(_is_open(peer, _AGENT) for peer in peers),
                    443: not peers or any(_reaches_public(peer) for peer in peers),
                }
                if isinstance(port, str) or (isinstance(port, int) and fits.get(port, True)):
                    reached.add(port)
    return reached


def _reaches_public(peer: object) -> bool:
    network = _network(dig(peer, "ipBlock", "cidr"))
    return network is not None and not network.is_private
