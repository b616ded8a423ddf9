"""Admission policies: what the API server itself refuses, and that it does."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import items, text
from harness.policy.facts.origins import misspelt
from harness.policy.facts.pods import ENFORCE
from harness.policy.facts.population import NAME
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
_GIVEN = {"kube-system", "kube-public", "flux-system", "default"}


@rule(
    "admission/in-force",
    why="a policy that is not bound, only warns, or is skipped when it fails lets everything in",
    fix="bind it: policyName, Deny among validationActions, failurePolicy: Fail",
)
def in_force(environment: Environment) -> Iterator[Problem]:
    bound = {text(binding.value, "spec", "policyName") for binding in environment.of(BINDING)}
    astray = sorted(bound - {policy.name for policy in environment.of(POLICY)})
    for policy in environment.of(POLICY):
        if policy.name not in bound and not misspelt(policy.name, astray):
            yield problem(policy, "no binding puts it to work", "metadata", "name")
        if policy.dig("spec", "failurePolicy") not in (None, "Fail"):
            yield problem(policy, "is skipped when it fails", "spec", "failurePolicy", to="Fail")
    for binding in environment.of(BINDING):
        name = text(binding.value, "spec", "policyName")
        if not environment.find(POLICY, name):
            yield problem(binding, f"there is no policy {name}", "spec", "policyName")
        if "Deny" not in items(binding.value, "spec", "validationActions"):
            yield problem(
                binding, "does not deny", "spec", "validationActions", to=["Deny", "Audit"]
            )


def _namespaces(binding: Object) -> Iterator[tuple[int, int, str, str]]:
    """The namespaces that a binding names: expression, index, operator, name."""
    where = ("spec", "matchResources", "namespaceSelector")
    for at, expression in enumerate(items(binding.value, *where, "matchExpressions")):
        if text(expression, "key") == NAME:
            for index, name in enumerate(items(expression, "values")):
                yield at, index, text(expression, "operator"), str(name)


@rule(
    "admission/known-namespaces",
    why="a namespace that is misspelt in a binding is not exempt, and the right one is not checked",
    fix="correct the name",
)
def known_namespaces(environment: Environment) -> Iterator[Problem]:
    known = {namespace.name for namespace in environment.of("Namespace")} | _GIVEN
    where = ("spec", "matchResources", "namespaceSelector")
    for binding in environment.of(BINDING):
        for at, index, _, name in _namespaces(binding):
            if name not in known:
                listed = (*where, "matchExpressions", at, "values", index)
                yield problem(binding, f"there is no namespace {name}", *listed)
        named = text(binding.value, *where, "matchLabels", NAME)
        if named and named not in known:
            message = f"there is no namespace {named}"
            yield problem(binding, message, *where, "matchLabels", NAME)


@rule(
    "admission/privileged-namespaces",
    why="pod security and the admission policy must exempt the same namespaces, or drivers are "
    "refused by one and others let in by the other",
    fix="exempt exactly the namespaces that are labeled privileged, and kube-system",
)
def drivers(environment: Environment) -> Iterator[Problem]:
    binding = environment.find(BINDING, "no-privileged-pod")
    privileged = {
        namespace.name
        for namespace in environment.of("Namespace")
        if namespace.labels.get(ENFORCE) == "privileged"
    }
    exempt = (
        {name for *_, how, name in _namespaces(binding) if how == "NotIn"} if binding else set()
    )
    differing = (exempt - {"kube-system"}) ^ privileged
    if binding and differing:
        where = ("spec", "matchResources", "namespaceSelector")
        names = ", ".join(sorted(differing))
        message = f"disagrees with the pod security labels about {names}"
        yield problem(binding, message, *where)
