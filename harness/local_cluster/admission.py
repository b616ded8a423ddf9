"""Checks everything that Flux would apply to an environment against a real API server.

A schema does not cover everything: CEL rules of kinds, admission policies, Pod Security and the
checks written in Go are evaluated by the server itself, by dry-run. Namespaces, accounts, priority
classes and admission policies are applied for good, since the rest depends on them; nothing else
is stored.
"""

import contextlib
import time
from collections.abc import Iterator

from harness.core.errors import HarnessError
from harness.core.problem import Problem
from harness.core.repository import Repository
from harness.core.values import Value, mapping
from harness.kubernetes.api import Api
from harness.kubernetes.transport import ApiError
from harness.local_cluster import install, local
from harness.policy import builtin
from harness.policy.finding import Finding, Severity
from harness.render.objects import Object
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from harness.schema import catalog

RULE = builtin.SERVER
POLICY_KINDS = (
    "Namespace",
    "PriorityClass",
    "ServiceAccount",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)
"""What the server stores of an environment: what is said of the rest depends on it."""

_ENFORCED = 20.0  # seconds until new policies judge; they take two
_POLL = 0.1
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


def findings(repository: Repository) -> tuple[Finding, ...]:
    """Send every environment to an API server that is started for it.

    Raises:
        HarnessError: the server does not start.
    """
    with server(repository) as cluster:
        return tuple(evaluate(cluster, repository))


@contextlib.contextmanager
def server(repository: Repository, name: str = "check") -> Iterator[Api]:
    """An API server with the kinds of every pinned module, for as long as the block runs.

    Args:
        repository: the working tree.
        name: of the local cluster; of two with one name the second would end the first.
    """
    crds = list(install.definitions(catalog.find(repository) / catalog.CRDS))
    with local.running(repository, name, with_flux=False) as cluster:
        install.install(cluster.api, crds)
        yield cluster.api


def evaluate(cluster: Api, repository: Repository) -> Iterator[Finding]:
    """What the server refuses of each environment of the working tree."""
    renderer = Renderer(repository)
    for name in renderer.environments():
        for problem in refusals(cluster, renderer.candidate(name)):
            yield _finding(problem, name)


def refusals(cluster: Api, environment: Environment) -> Iterator[Problem]:
    """What the server refuses of an environment, and why."""
    policies = [each for each in environment.objects if each.kind in POLICY_KINDS]
    others = [each for each in environment.objects if each.kind not in POLICY_KINDS]
    for each in policies:
        yield from _apply(cluster, each, each.value, dry_run=False)
    _wait_until_enforced(cluster, environment.name)
    for each in others:
        yield from answers(cluster, each)


def answers(cluster: Api, subject: Object) -> Iterator[Problem]:
    """What the server refuses of an object and of a pod of its template; nothing is stored."""
    yield from _apply(cluster, subject, subject.value)
    if subject.kind in _TEMPLATES:
        yield from _apply(cluster, subject, _pod(subject))


def _wait_until_enforced(cluster: Api, name: str) -> None:
    """Wait until the server policies by the policies that it was given last.

    It takes them up in order, a moment later: one more that refuses a ConfigMap of a certain name
    shows when.
    """
    canary = f"canary-{name}"
    for value in _policy(canary):
        cluster.apply(value)
    subject = {"apiVersion": "v1", "kind": "ConfigMap"}
    subject["metadata"] = {"name": canary, "namespace": "default"}  # type: ignore[assignment]
    deadline = time.monotonic() + _ENFORCED
    while time.monotonic() < deadline:
        try:
            cluster.apply(subject, dry_run=True)
        except ApiError:
            return
        time.sleep(_POLL)
    raise HarnessError(f"admission policies are not enforced after {_ENFORCED:g} s")


def _policy(name: str) -> list[Value]:
    api_version = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    rule["resources"] = ["configmaps"]
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": f"object.metadata.name != '{name}'"}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    metadata = {"name": name}
    kind = "ValidatingAdmissionPolicy"
    return [
        {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": policy},
        {
            "apiVersion": api_version,
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "spec": binding,
        },
    ]


def _apply(
    cluster: Api, subject: Object, value: Value, *, dry_run: bool = True
) -> Iterator[Problem]:
    try:
        cluster.apply(value, dry_run=dry_run)
    except ApiError as error:
        yield Problem(f"the API server says: {error.message}", subject.at(), str(subject))


def _pod(workload: Object) -> Value:
    """A pod as a controller makes it from a template: policies judge pods, not their makers."""
    template = mapping(workload.value, *_TEMPLATES[workload.kind])
    metadata = {
        **mapping(template, "metadata"),
        "name": f"{workload.name}-admission",
        "namespace": workload.namespace,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _finding(problem: Problem, environment: str) -> Finding:
    return Finding(
        RULE.id,
        Severity.ERROR,
        problem.message,
        problem.location,
        problem.object,
        (environment,),
        RULE.fix,
    )
