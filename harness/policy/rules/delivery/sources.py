"""Sources: from where we said, over TLS, at one exact version."""

import re
from collections.abc import Iterator

import yaml

from harness.core.fix import REMOVED
from harness.core.problem import Problem
from harness.core.values import dig, items, mapping, text
from harness.policy.facts.graph import SOURCES
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_EXACT = re.compile(r"v?\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")

_OTHER_TREE = {"ignore", "include", "recurseSubmodules"}


@rule(
    "sources/exact-version",
    why="a range installs what was published last night: what runs is in no commit",
    fix="name one version, such as 1.2.3 (or ref.digest)",
    references=("Flux audit: immutable references",),
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

    for instance in environment.of("FluxInstance"):
        version = text(instance.value, "spec", "distribution", "version")
        artifact = text(instance.value, "spec", "distribution", "artifact")
        if not _EXACT.fullmatch(version):
            message = f"Flux upgrades itself to the newest of {version or 'all'}"
            yield problem(instance, message, "spec", "distribution", "version")
        if artifact and "@sha256:" not in artifact:
            message = f"follows {artifact}"
            yield problem(instance, message, "spec", "distribution", "artifact")


@rule(
    "sources/by-digest",
    why="a tag of a registry can be moved: what was tested under it is not what another cluster "
    "gets, and these charts hold rights in the whole cluster",
    fix="write what `crane digest URL:TAG` says as ref.digest next to the tag; an exception that "
    "it has in exceptions.yaml is then over",
    references=("Flux audit: immutable references",),
    kinds=("OCIRepository",),
)
def by_digest(source: Object) -> Iterator[Problem]:
    if not text(source.value, "spec", "ref", "digest"):
        yield problem(source, "follows a tag", "spec", "ref")


@rule(
    "sources/tls",
    why="whoever sits between the cluster and the source decides what is applied",
    fix="use https, ssh or oci, and remove insecure",
    references=("Flux audit: no insecure",),
    kinds=SOURCES,
)
def tls(source: Object) -> Iterator[Problem]:
    url = text(source.value, "spec", "url")
    if source.dig("spec", "insecure") is True:
        yield problem(source, "accepts plain HTTP", "spec", "insecure", to=REMOVED)
    if url.startswith(("http://", "git://")) and not _loopback(url):
        yield problem(source, f"reads {url} in the clear", "spec", "url")


@rule(
    "sources/whole",
    why="what these fields leave out or add is in no commit that was checked: the artifact is "
    "another tree than the one that `harness check` reads",
    fix="remove the field; what Flux shall not apply is not listed in a kustomization.yaml. "
    "FluxInstance's patch of the root's GitRepository sets sparseCheckout, clusters among it",
)
def whole(environment: Environment) -> Iterator[Problem]:
    for source in environment.of("GitRepository"):
        for key in sorted(_OTHER_TREE & set(mapping(source.value, "spec"))):
            yield problem(source, f"{key} makes the artifact another tree", "spec", key, to=REMOVED)
    root = f"clusters/{environment.name}"
    for instance in environment.of("FluxInstance"):
        for index, each in enumerate(items(instance.value, "spec", "kustomize", "patches")):
            at = ("spec", "kustomize", "patches", index)
            for key, value in _patch_keys(each):
                if key in _OTHER_TREE:
                    yield problem(instance, f"{key} makes the root's artifact another tree", *at)
                elif key == "sparseCheckout" and not _checks_out(value, root):
                    yield problem(instance, f"the root does not check out {root}", *at)


def _checks_out(listed: object, folder: str) -> bool:
    """Whether sparseCheckout has a folder: it is a list of beginnings."""
    return isinstance(listed, list) and folder.startswith(
        tuple(str(each).removeprefix("./") for each in listed)
    )


def _patch_keys(patch: object) -> Iterator[tuple[str, object]]:
    """The keys of a GitRepository's spec that a patch sets, with their values."""
    try:
        parsed = list(yaml.safe_load_all(text(patch, "patch")))
    except yaml.YAMLError:
        return  # flux-operator refuses it
    kind = text(patch, "target", "kind")
    for each in parsed:
        if not re.fullmatch(kind or text(each, "kind") or ".*", "GitRepository"):
            continue
        yield from mapping(each, "spec").items()
        for operation in items(each):
            place, value = text(operation, "path").split("/")[1:], dig(operation, "value")
            if place[:1] == ["spec"]:
                yield from [(place[1], value)] if len(place) > 1 else mapping(value).items()


def _loopback(url: str) -> bool:
    """Nobody sits between a machine and itself: the local cluster's own server."""
    return re.match(r"\w+://(127\.0\.0\.1|localhost|\[::1\])[:/]", url) is not None


@rule(
    "sources/allowed-urls",
    why="the admission policy refuses a source that is not on its list: Flux cannot even apply it",
    fix="add the URL to the policy flux-source in infra/policies",
    references=("Flux audit: source allow-list",),
)
def on_the_list(environment: Environment) -> Iterator[Problem]:
    policy = environment.find("ValidatingAdmissionPolicy", "flux-source")
    listed = str(policy.dig("spec", "variables")) if policy else ""
    for source in environment.of(*SOURCES):
        url = text(source.value, "spec", "url")
        if policy and f"'{url}'" not in listed.replace('"', "'"):
            yield problem(source, f"{url or 'no URL'} is not on the list", "spec", "url")
