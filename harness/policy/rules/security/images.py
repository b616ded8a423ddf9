"""Images: what runs is what was reviewed, byte for byte, from where the cluster accepts it."""

import re
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import text
from harness.policy.facts.admitted import (
    expressions,
    expressions_text,
    listed_prefixes,
    site_prefixes,
)
from harness.policy.facts.pods import WORKLOADS, pod, pods
from harness.policy.facts.serving import servers
from harness.policy.project import Project
from harness.policy.rule import of_release, problem, rule
from harness.render.rendered import Environment

_DIGEST = re.compile(r"\S+@sha256:[0-9a-f]{64}")
_ALLOWED = re.compile(r"startsWith\('([^']+)'\)")
_LITERAL = re.compile(r"'([^']*)'")
# A host, as the first part of an image's name has it: with a dot, or localhost.
_HOST = re.compile(r"([a-z0-9-]+(\.[a-z0-9-]+)+|localhost)(:[0-9]+)?(/|$)")
# Registries in which anybody may have an organization.
_SHARED = (
    *("docker.io", "gcr.io", "ghcr.io", "index.docker.io", "nvcr.io", "public.ecr.aws", "quay.io"),
    *("registry-1.docker.io", "registry.gitlab.com"),
)
_TAGS = ("data", "IMAGE_TAGS")


@rule(
    "images/digest",
    why="a tag can be moved: a pod that restarts tomorrow would run something nobody reviewed",
    fix="write the image as repository@sha256:<64 hexadecimal digits>; for an image of this "
    "machine, in an environment that releases do not pass, list its prefix in IMAGE_TAGS of "
    "site.yaml",
    references=("NSA/CISA C-0055",),
    like=(
        "checkov CKV_K8S_43",
        "kube-linter latest-tag",
    ),
)
def digest(environment: Environment) -> Iterator[Problem]:
    site = environment.find("ConfigMap", "site", "flux-system")
    tagged = tuple(text(site and site.value, *_TAGS).split())
    for subject in pods(environment):
        for container in subject.containers:
            image = text(container.value, "image")
            if not _DIGEST.fullmatch(image) and not (image and image.startswith(tagged)):
                yield container.problem(f"image {image or '(none)'} has no digest", "image")


@rule(
    "images/tags",
    why="what was proved under a tag is not what the tag names a day later: a release would be "
    "promoted that nobody tested",
    fix="take IMAGE_TAGS out of site.yaml, and write these images by their digests",
)
def no_tags_where_releases_pass(project: Project) -> Iterator[Problem]:
    for env in sorted({*project.sources, *project.sources.values()} & project.environments.keys()):
        site = project.environments[env].find("ConfigMap", "site", "flux-system")
        if site and text(site.value, *_TAGS):
            yield problem(site, f"{env} takes images by tag, and releases pass it", *_TAGS)


@rule(
    "images/registry",
    why="the admission policy refuses an image from elsewhere: the rollout stops at its first pod",
    fix="take the image from REGISTRY of site.yaml, or list the prefix of its name in "
    "IMAGE_REGISTRIES there, spaces between several",
    references=("CIS EKS 5.1.4",),
)
def registry(environment: Environment) -> Iterator[Problem]:
    policy = environment.find("ValidatingAdmissionPolicy", "image-by-digest")
    written = expressions_text(policy)
    allowed = (*_ALLOWED.findall(written), *site_prefixes(written))
    served = {server.pod.owner.namespace for server in servers(environment)}
    for subject in pods(environment) if allowed else ():
        for container in subject.containers if subject.owner.namespace in served else ():
            image = text(container.value, "image")
            if not image.startswith(allowed):
                prefixes = " or ".join(dict.fromkeys(allowed))
                yield container.problem(f"{image} is not from {prefixes}", "image")


@rule(
    "images/published-charts",
    why="the admission policy refuses an image from elsewhere: the chart's pods never start",
    fix="add the registry to the policy image-registry in infra/policies, if you trust it",
    references=("CIS EKS 5.1.4",),
)
def published_charts(environment: Environment) -> Iterator[Problem]:
    listed = listed_prefixes(environment)
    workloads = [each for each in environment.third_party if each.kind in WORKLOADS]
    for workload in workloads if listed else ():
        for container in pod(workload).containers:
            image = text(container.value, "image")
            if not image.startswith(listed):
                message = f"{image} is from no registry on the list"
                yield of_release(workload, problem(workload, message, *container.path, "image"))


@rule(
    "images/whole-prefix",
    why="a prefix that ends within a name lets in whoever registers a longer one: `quay.io/jet` is "
    "the start of quay.io/jetpack/… too, and `nvcr.io` of nvcr.io.example.com/…; `docker.io/` is "
    "whatever anybody has pushed to Docker Hub",
    fix="end the prefix with a slash, after the organization: quay.io/jetstack/",
)
def prefixes_end_at_a_name(environment: Environment) -> Iterator[Problem]:
    site = environment.find("ConfigMap", "site", "flux-system")
    listed = set()
    for key in ("IMAGE_REGISTRIES", "IMAGE_TAGS"):
        for prefix in text(site and site.value, "data", key).split():
            listed.add(prefix)
            if site and (message := _looseness(prefix)):
                yield problem(site, message, "data", key)
    for policy in environment.of("ValidatingAdmissionPolicy"):
        for part, index, expression in (
            expressions(policy) if "startsWith" in expressions_text(policy) else ()
        ):
            for literal in _LITERAL.findall(expression):
                for prefix in literal.split():
                    message = "" if prefix in listed else _looseness(prefix)
                    if message:
                        where = ("spec", part, index, "expression")
                        yield problem(policy, message, *where)


def _looseness(prefix: str) -> str:
    """What a prefix of images lets in that it does not name; empty if nothing."""
    if _HOST.match(prefix) and not re.search(r"[/@]$|[:@][^/]*$", prefix):
        return f"the prefix {prefix} ends within a name"
    host, _, path = prefix.partition("/")
    return f"{prefix} is anybody's at {host}" if host in _SHARED and not path.strip("/") else ""
