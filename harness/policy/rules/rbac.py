"""RBAC: nobody gets more than the verbs and objects that the program names."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import items, text
from harness.policy.pods import pods
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_KINDS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
_ESCALATES = ("bind", "escalate", "impersonate")
# Kubernetes' own roles that read Secrets: everywhere, where a ClusterRoleBinding names them.
_READ_SECRETS = ("admin", "edit")
# https://kubernetes.io/docs/concepts/security/rbac-good-practices/#access-to-proxy-subresource-of-nodes
_INTO_NODES = ("nodes/proxy", "nodes/*", "*/proxy")


@rule(
    "rbac/least-privilege",
    why="`*` grants what the next CRD brings; who may bind, escalate, impersonate, read every "
    "Secret or run commands in any container (nodes/proxy) soon has the cluster",
    fix="name groups, resources and verbs, and single Secrets in resourceNames",
    references=(
        "CIS EKS 4.1.1",
        "CIS EKS 4.1.2",
        "CIS EKS 4.1.3",
        "CIS EKS 4.1.8",
        "NSA/CISA C-0035",
    ),
    kinds=_KINDS,
    like=(
        "kube-linter wildcard-in-rules",
        "checkov CKV_K8S_49",
    ),
)
def least(item: Object) -> Iterator[Problem]:
    bound = text(item.value, "roleRef", "name")
    if bound == "cluster-admin":
        yield problem(item, "binds cluster-admin", "roleRef", "name")
    if bound in _READ_SECRETS and item.kind == "ClusterRoleBinding":
        yield problem(item, f"binds {bound}, which reads every Secret", "roleRef", "name")
    for index, granted in enumerate(items(item.value, "rules")):
        for message, key in _grants(granted):
            yield problem(item, message, "rules", index, key)


def _grants(granted: object) -> Iterator[tuple[str, str]]:
    """What a rule of a role grants too much, and by which of its keys."""
    for key in ("apiGroups", "resources", "verbs"):
        if "*" in items(granted, key):
            yield f"grants every one of {key}", key
    for verb in _ESCALATES:
        if verb in items(granted, "verbs"):
            yield f"grants {verb}", "verbs"
    resources = items(granted, "resources")
    if "secrets" in resources and not items(granted, "resourceNames"):
        yield "grants every Secret", "resources"
    for resource in _INTO_NODES:
        if resource in resources:
            yield f"grants {resource}: a GET there runs commands in any container", "resources"


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
