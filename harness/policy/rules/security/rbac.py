"""RBAC: nobody gets more than the verbs and objects that the program names."""

import re
from collections.abc import Iterator, Mapping

from harness.core.problem import Problem
from harness.core.values import KeyPath, items, text
from harness.policy.facts.origins import Origins
from harness.policy.facts.pods import pods
from harness.policy.facts.serving import servers
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_KINDS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
_ESCALATES = ("bind", "escalate", "impersonate")
_WRITES = {"create", "delete", "deletecollection", "patch", "update"}
# Kubernetes' own roles that read every Secret and run commands, of a namespace or of the cluster.
_STRONG = ("admin", "edit")
_AGGREGATES = "rbac.authorization.k8s.io/aggregate-to-"
_OURS = ("flux-system",)  # as well as the servers' own: where the token that writes to Git is
# Everybody who has an account, or none: of the API server, or of a namespace.
_EVERYBODY = re.compile(
    r"system:(authenticated|unauthenticated|anonymous|serviceaccounts(:.+)?|nodes|masters)"
)
# https://kubernetes.io/docs/concepts/security/rbac-good-practices/#access-to-proxy-subresource-of-nodes
_INTO_NODES = ("nodes/proxy", "nodes/*", "*/proxy")
# What nothing here needs, and gives its holder the pods or the accounts of even one namespace.
_ANYWHERE = {
    "pods/*": "runs commands in every container",
    "*/exec": "runs commands in every container",
    "pods/attach": "talks to every container",
    "pods/ephemeralcontainers": "puts containers of its own into every pod",
    "serviceaccounts/token": "takes the token of any account",
}
# What people and workflows use in a namespace of their own, and no program does.
_BY_PEOPLE = ("pods/exec", "pods/portforward")
# What gives its holder the cluster, where it is granted for all of it: resource, what it does.
# https://kubernetes.io/docs/concepts/security/rbac-good-practices/#kubernetes-rbac-privilege-escalation-risks
_POWERS = {
    "pods/exec": "runs commands in every container",
    "pods/portforward": "reaches every port, whatever policies say",
    "pods": "makes pods that mount any Secret",
    "certificatesigningrequests/approval": "makes certificates of any user",
    "clusterroles": "gives itself any right",
    "clusterrolebindings": "gives itself any right",
    "rolebindings": "gives itself any right",
    "validatingadmissionpolicies": "switches admission policies off",
    "validatingadmissionpolicybindings": "switches admission policies off",
    "validatingwebhookconfigurations": "switches admission off",
    "mutatingwebhookconfigurations": "changes any object on its way",
}


@rule(
    "rbac/least-privilege",
    why="`*` grants what the next CRD brings; who may bind, escalate, impersonate, read every "
    "Secret or run commands in any container (nodes/proxy) soon has the cluster",
    fix="name groups, resources and verbs, and single Secrets in resourceNames; bind a group of "
    "your own (eksctl.yaml), in one namespace",
    references=(
        "CIS EKS 4.1.1",
        "CIS EKS 4.1.2",
        "CIS EKS 4.1.3",
        "CIS EKS 4.1.8",
        "NSA/CISA C-0035",
    ),
    like=(
        "kube-linter wildcard-in-rules",
        "checkov CKV_K8S_49",
    ),
)
def least(environment: Environment) -> Iterator[Problem]:
    everywhere = {
        text(binding.value, "roleRef", "name") for binding in environment.of("ClusterRoleBinding")
    }
    programs = {
        text(binding.value, "roleRef", "name")
        for binding in environment.of("RoleBinding", "ClusterRoleBinding")
        if any(text(each, "kind") == "ServiceAccount" for each in items(binding.value, "subjects"))
    }
    guarded = {server.pod.owner.namespace for server in servers(environment)} | set(_OURS)
    for item in environment.of(*_KINDS):
        yield from _bindings(item, guarded)
        aggregated = any(key.startswith(_AGGREGATES) for key in item.labels)
        of_cluster = item.kind == "ClusterRole" and (item.name in everywhere or aggregated)
        by_program = item.namespace in _OURS or item.name in programs
        for index, granted in enumerate(items(item.value, "rules")):
            for message, key in _grants(
                granted,
                of_cluster=of_cluster,
                by_program=by_program,
                guarded=item.namespace in guarded,
            ):
                yield problem(item, message, "rules", index, key)
    for release in Origins(environment).remote:
        for path, granted in _rules_of_values(release.dig("spec", "values"), ("spec", "values")):
            for message, key in _grants(granted, of_cluster=True, by_program=True):
                yield problem(release, message, *path, key)


def _bindings(item: Object, guarded: set[str]) -> Iterator[Problem]:
    """What a binding gives to whom too much."""
    bound = text(item.value, "roleRef", "name")
    if bound == "cluster-admin":
        yield problem(item, "binds cluster-admin", "roleRef", "name")
    if bound in _STRONG and (item.kind == "ClusterRoleBinding" or item.namespace in guarded):
        what = "every Secret" if item.kind == "ClusterRoleBinding" else "the Secrets here"
        yield problem(item, f"binds {bound}, which reads {what}", "roleRef", "name")
    for index, subject in enumerate(items(item.value, "subjects")):
        name = text(subject, "name")
        if text(subject, "kind") in ("Group", "User") and _EVERYBODY.fullmatch(name):
            yield problem(item, f"grants {bound} to {name}", "subjects", index, "name")


def _rules_of_values(values: object, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    """The rules of roles among values of a third-party chart."""
    if isinstance(values, Mapping):
        if {"resources", "verbs"} <= values.keys() and isinstance(values["verbs"], list):
            yield path, values
        for key, below in values.items():
            yield from _rules_of_values(below, (*path, str(key)))
    elif isinstance(values, list):
        for index, below in enumerate(values):
            yield from _rules_of_values(below, (*path, index))


def _grants(
    granted: object, *, of_cluster: bool, by_program: bool, guarded: bool = False
) -> Iterator[tuple[str, str]]:
    """What a rule of a role grants too much, and by which of its keys.

    Args:
        of_cluster: whether it holds in every namespace.
        by_program: whether a program has it, or whoever has it gets at Flux.
        guarded: whether it holds where servers or Flux are.
    """
    verbs, resources = (list(map(str, items(granted, key))) for key in ("verbs", "resources"))
    for key in ("apiGroups", "resources", "verbs", "nonResourceURLs"):
        if "*" in items(granted, key):
            yield f"grants every one of {key}", key
    yield from ((f"grants {verb}", "verbs") for verb in _ESCALATES if verb in verbs)
    if "secrets" in resources and not items(granted, "resourceNames"):
        yield "grants every Secret", "resources"
    if of_cluster:
        gains = list(_gains_everywhere(resources, {*verbs}))
    elif guarded and "pods" in resources and {*verbs} & _WRITES - {"delete", "deletecollection"}:
        gains = [("pods", f"here: {_POWERS['pods']}")]
    else:
        program = "a program, or to who is in Flux's namespace"
        gains = [(each, f"to {program}") for each in _BY_PEOPLE if by_program and each in resources]
    for resource in filter(resources.__contains__, _INTO_NODES):
        yield f"grants {resource}: a GET there runs commands in any container", "resources"
    for resource in filter(resources.__contains__, _ANYWHERE):
        yield f"grants {resource}: {_ANYWHERE[resource]}", "resources"
    yield from ((f"grants {resource} {gain}", "resources") for resource, gain in gains)


def _gains_everywhere(resources: list[str], verbs: set[str]) -> Iterator[tuple[str, str]]:
    """The resources by which a role of the whole cluster gives its holder the cluster."""
    for power, gain in _POWERS.items():
        # A GET opens a connection as well.
        if power in resources and (verbs & _WRITES or "/" in power):
            yield power, f"in every namespace: {gain}"


@rule(
    "rbac/own-account",
    why="what is granted to `default` is granted to every pod of the namespace",
    fix="give the workload a ServiceAccount of its own",
    references=("CIS EKS 4.1.5", "CIS EKS 5.2.1"),
    like=(
        "kube-linter default-service-account",
        "checkov CKV_K8S_41",
    ),
)
def own_account(environment: Environment) -> Iterator[Problem]:
    for subject in pods(environment):
        if text(subject.spec, "serviceAccountName") in ("", "default"):
            yield subject.problem("runs as the default ServiceAccount", "serviceAccountName")
