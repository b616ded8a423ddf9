"""Namespaces: declared, labeled for pod security, and there before what lives in them."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import text
from harness.policy.facts.pods import ENFORCE
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_GIVEN = ("", "flux-system", "kube-system", "kube-public")  # by Kubernetes and the Flux operator


@rule(
    "namespaces/pod-security",
    why="a namespace without the label admits any pod, whatever the manifests here promise",
    fix=f"label it {ENFORCE}: restricted (privileged only for drivers)",
    references=("PSS restricted", "CIS EKS 4.2.1"),
    kinds=("Namespace",),
    like=("Pod Security admission's label",),
)
def pod_security(namespace: Object) -> Iterator[Problem]:
    if namespace.labels.get(ENFORCE) not in ("restricted", "baseline", "privileged"):
        yield problem(namespace, f"has no label {ENFORCE}", "metadata", "labels")


@rule(
    "namespaces/privileged-for-drivers",
    why="a privileged namespace lets its pods own the node; only drivers need that",
    fix=f"label it {ENFORCE}: restricted, and move drivers to a namespace of their own",
    references=("PSS restricted", "NSA/CISA C-0057"),
)
def privileged_for_drivers(environment: Environment) -> Iterator[Problem]:
    drivers = ("nvidia", "gpu", "dcgm", "storage", "logging", "monitoring")
    for namespace in environment.of("Namespace"):
        level = namespace.labels.get(ENFORCE)
        if level == "privileged" and not namespace.name.startswith(drivers):
            yield problem(namespace, "is privileged", "metadata", "labels", ENFORCE)
        if namespace.name == "torchserve" and level != "restricted":
            yield problem(namespace, f"enforces {level}", "metadata", "labels", ENFORCE)


@rule(
    "namespaces/declared",
    why="Flux cannot apply into a namespace that nothing makes; `default` has no policy, no quota "
    "and no owner",
    fix="name a namespace that infra/policies declares",
    references=("CIS EKS 4.5.2",),
)
def namespaces_exist(environment: Environment) -> Iterator[Problem]:
    known = {namespace.name for namespace in environment.of("Namespace")} | {*_GIVEN}
    for item in environment.objects:
        target = text(item.value, "spec", "targetNamespace")
        for name, path in (
            (item.namespace, ("metadata", "namespace")),
            (target, ("spec", "targetNamespace")),
        ):
            if name not in known:
                yield problem(item, f"nothing declares the namespace {name}", *path)
