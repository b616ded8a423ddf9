"""Sources: from where we said, over TLS, at one exact version."""

import re
from collections.abc import Iterator

from harness.policy.finding import Problem
from harness.policy.graph import SOURCES
from harness.policy.rule import problem, rule
from harness.render.objects import Environment, Object, mapping, text

_EXACT = re.compile(r"v?\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")


@rule(
    "sources/exact-version",
    why="a range installs what was published last night: what runs is in no commit",
    fix="name one version, such as 1.2.3 (or ref.digest)",
    clauses=("Flux audit: immutable references",),
)
def exact_version(environment: Environment) -> Iterator[Problem]:
    for release in environment.of("HelmRelease"):
        where = ("spec", "chart", "spec")
        version = text(release.value, *where, "version")
        kind = text(release.value, *where, "sourceRef", "kind")
        if kind == "HelmRepository" and not _EXACT.fullmatch(version):
            message = f"version {version or '(any)'} is not one version"
            yield problem(release, message, *where, "version")
    for source in environment.of("OCIRepository"):
        reference = mapping(source.value, "spec", "ref")
        tag = str(reference.get("tag", ""))
        if "digest" not in reference and not _EXACT.fullmatch(tag):
            message = f"follows {reference.get('semver') or tag or 'latest'}"
            yield problem(source, message, "spec", "ref")


@rule(
    "sources/by-digest",
    why="a tag of a registry can be moved: what was tested under it is not what another cluster "
    "gets, and these charts hold rights in the whole cluster",
    fix="write what `crane digest URL:TAG` says as ref.digest beside the tag, and take the "
    "line out of exceptions.yaml",
    clauses=("Flux audit: immutable references",),
    kinds=("OCIRepository",),
)
def by_digest(source: Object) -> Iterator[Problem]:
    if not text(source.value, "spec", "ref", "digest"):
        yield problem(source, "follows a tag", "spec", "ref")


@rule(
    "sources/tls",
    why="whoever sits between the cluster and the source decides what is applied",
    fix="use https, ssh or oci, and remove insecure",
    clauses=("Flux audit: no insecure",),
    kinds=SOURCES,
)
def tls(source: Object) -> Iterator[Problem]:
    url = text(source.value, "spec", "url")
    if source.dig("spec", "insecure") is True:
        yield problem(source, "accepts plain HTTP", "spec", "insecure")
    if url.startswith(("http://", "git://")) and not _loopback(url):
        yield problem(source, f"reads {url} in the clear", "spec", "url")


def _loopback(url: str) -> bool:
    """Nobody sits between a machine and itself: the local cluster's own server."""
    return re.match(r"\w+://(127\.0\.0\.1|localhost|\[::1\])[:/]", url) is not None


@rule(
    "sources/on-the-list",
    why="the admission policy refuses a source that is not on its list: Flux cannot even apply it",
    fix="add the URL to the policy flux-source in infra/policies",
    clauses=("Flux audit: source allow-list",),
)
def on_the_list(environment: Environment) -> Iterator[Problem]:
    policy = environment.find("ValidatingAdmissionPolicy", "flux-source")
    listed = str(policy.dig("spec", "variables")) if policy else ""
    for source in environment.of(*SOURCES):
        url = text(source.value, "spec", "url")
        if policy and f"'{url}'" not in listed.replace('"', "'"):
            yield problem(source, f"{url or 'no URL'} is not on the list", "spec", "url")
