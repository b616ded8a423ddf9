"""Admission policies: what the API server itself refuses, and that it does."""

import re
from collections.abc import Iterator

from harness.core.problem import Location, Problem
from harness.core.values import items, mapping, text
from harness.policy.pods import ENFORCE
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
_NAME = "kubernetes.io/metadata.name"
# Registries in which anybody may have an organization.
_SHARED = (
    *("docker.io", "gcr.io", "ghcr.io", "index.docker.io", "nvcr.io", "public.ecr.aws", "quay.io"),
    *("registry-1.docker.io", "registry.gitlab.com"),
)
_LISTS = ("IMAGE_REGISTRIES", "IMAGE_TAGS")  # of site.yaml
_LITERAL = re.compile(r"'([^']*)'")
_GIVEN = {"kube-system", "kube-public", "flux-system", "default"}


@rule(
    "admission/in-force",
    why="a policy that is not bound, only warns, or is skipped when it fails lets everything in",
    fix="bind it: policyName, Deny among validationActions, failurePolicy: Fail",
)
def in_force(environment: Environment) -> Iterator[Problem]:
    bindings = {text(binding.value, "spec", "policyName") for binding in environment.of(BINDING)}
    for policy in environment.of(POLICY):
        if policy.name not in bindings:
            yield problem(policy, "no binding puts it to work", "metadata", "name")
        if policy.dig("spec", "failurePolicy") not in (None, "Fail"):
            yield problem(policy, "is skipped when it fails", "spec", "failurePolicy")
    for binding in environment.of(BINDING):
        name = text(binding.value, "spec", "policyName")
        if not environment.find(POLICY, name):
            yield problem(binding, f"there is no policy {name}", "spec", "policyName")
        if "Deny" not in items(binding.value, "spec", "validationActions"):
            yield problem(binding, "does not deny", "spec", "validationActions")


def _namespaces(binding: Object) -> Iterator[tuple[int, int, str, str]]:
    """The namespaces that a binding names: expression, index, operator, name."""
    where = ("spec", "matchResources", "namespaceSelector")
    for at, expression in enumerate(items(binding.value, *where, "matchExpressions")):
        if text(expression, "key") == _NAME:
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
        named = text(binding.value, *where, "matchLabels", _NAME)
        if named and named not in known:
            message = f"there is no namespace {named}"
            yield problem(binding, message, *where, "matchLabels", _NAME)


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


@rule(
    "admission/whole-prefixes",
    why="the list holds prefixes: `quay.io/acme` lets in quay.io/acme-evil, and `docker.io/` "
    "whatever anybody has pushed to Docker Hub",
    fix="end a prefix with `/`, after the organization: quay.io/acme/; those of site.yaml are "
    "IMAGE_REGISTRIES and IMAGE_TAGS",
)
def whole_prefixes(environment: Environment) -> Iterator[Problem]:
    site = environment.find("ConfigMap", "site", "flux-system")
    data = mapping(site and site.value, "data")
    places: dict[Location, Problem] = {}
    for policy in environment.of(POLICY):
        for index, variable in enumerate(items(policy.value, "spec", "variables")):
            if text(variable, "name") not in ("registries", "tagged"):
                continue
            literals = _LITERAL.findall(text(variable, "expression"))
            for prefix in [each for literal in literals for each in literal.split()]:
                key = next((key for key in _LISTS if prefix in str(data.get(key)).split()), None)
                where = ("spec", "variables", index, "expression")
                at = site.at("data", key) if site and key else policy.at(*where)
                if message := _looseness(prefix):
                    places.setdefault(at, Problem(message, at, str(site if key else policy)))
    yield from places.values()


def _looseness(prefix: str) -> str:
    """What a prefix lets in that it does not name; empty if nothing."""
    host, _, path = prefix.partition("/")
    if not path.strip("/") and host in _SHARED:
        return f"{prefix} lets in images of anybody at {host}"
    if not prefix.endswith(("/", ":", "@")) and "/" not in path:
        return f"{prefix} lets in what begins so, as {prefix}-evil/"
    return ""
