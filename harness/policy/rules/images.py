"""Images: what runs is what was reviewed, byte for byte, from where the cluster accepts it."""

import re
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import items, text
from harness.policy.pods import WORKLOADS, pod, pods
from harness.policy.rule import of_release, problem, rule
from harness.policy.serving import servers
from harness.render.objects import Object
from harness.render.rendered import Environment

_DIGEST = re.compile(r"\S+@sha256:[0-9a-f]{64}")
_LISTED = re.compile(r"'([^'\s]+/)'")
_ALLOWED = re.compile(r"startsWith\('([^']+)'\)")


@rule(
    "images/digest",
    why="a tag can be moved: a pod that restarts tomorrow would run something nobody reviewed",
    fix="write the image as repository@sha256:<64 hexadecimal digits>",
    references=("NSA/CISA C-0055",),
    kinds=WORKLOADS,
    like=(
        "checkov CKV_K8S_43",
        "kube-linter latest-tag",
    ),
)
def digest(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        image = text(container.value, "image")
        if not _DIGEST.fullmatch(image):
            yield container.problem(f"image {image or '(none)'} has no digest", "image")


@rule(
    "images/registry",
    why="the admission policy refuses an image from elsewhere: the rollout stops at its first pod",
    fix="take the image from REGISTRY of site.yaml, or change image-by-digest in infra/policies",
    references=("CIS EKS 5.1.4",),
)
def registry(environment: Environment) -> Iterator[Problem]:
    policy = environment.find("ValidatingAdmissionPolicy", "image-by-digest")
    allowed = tuple(_ALLOWED.findall(_text(policy)))
    served = {server.pod.owner.namespace for server in servers(environment)}
    for subject in pods(environment) if allowed else ():
        for container in subject.containers if subject.owner.namespace in served else ():
            image = text(container.value, "image")
            if not image.startswith(allowed):
                yield container.problem(f"{image} is not from {allowed[0]}", "image")


@rule(
    "images/published-charts",
    why="the admission policy refuses an image from elsewhere: the chart's pods never start",
    fix="add the registry to the policy image-registry in infra/policies, if you trust it",
    references=("CIS EKS 5.1.4",),
)
def published_charts(environment: Environment) -> Iterator[Problem]:
    policy = environment.find("ValidatingAdmissionPolicy", "image-registry")
    listed = tuple(_LISTED.findall(str(policy.dig("spec", "variables")))) if policy else ()
    workloads = [each for each in environment.third_party if each.kind in WORKLOADS]
    for workload in workloads if listed else ():
        for container in pod(workload).containers:
            image = text(container.value, "image")
            if not image.startswith(listed):
                message = f"{image} is from no registry on the list"
                yield of_release(workload, problem(workload, message, *container.path, "image"))


def _text(policy: Object | None) -> str:
    """The expressions of an admission policy, as one text."""
    if policy is None:
        return ""
    return "\n".join(
        text(each, "expression") for each in items(policy.value, "spec", "validations")
    )
