"""Environments: production is what staging proved, and never weaker.

Which environment proves another is read from promotion.yaml: the names are those of a usual pair.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path

from harness.core.errors import Location
from harness.core.problem import Problem
from harness.core.values import Key, KeyPath, items, mapping, text
from harness.core.words import amount
from harness.policy.facts.pods import PROBES, WORKLOADS, Container, pod
from harness.policy.facts.serving import servers
from harness.policy.facts.site import without
from harness.policy.project import Project, twins
from harness.policy.rule import problem, rule
from harness.render.objects import Object

_GUARDS = (
    "NetworkPolicy",
    "SecurityPolicy",
    "ClientTrafficPolicy",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)
_CONTEXT = "securityContext"


_ONE_SIDED = {"promotion.yaml"}  # what a release must have shown before it comes here


@rule(
    "environments/same-files",
    why="`diff -r clusters/staging clusters/production` is the whole story of how they differ: a "
    "file that only one has is a difference nobody sees in it",
    fix="give both the same files",
)
def same_files(project: Project) -> Iterator[Problem]:
    root = project.repository.root / "clusters"
    for source, target in project.promotions:
        names = {
            env: {str(path.relative_to(root / env)) for path in (root / env).rglob("*.yaml")}
            for env in (source.name, target.name)
        }
        for env, other in ((source.name, target.name), (target.name, source.name)):
            for name in sorted(names[env] - names[other] - _ONE_SIDED):
                documents = project.documents(f"clusters/{env}/{name}")
                if any(text(each.value, "kind") == "Secret" for each in documents):
                    continue  # nobody shall copy it: secrets/encrypted says what to do
                message = f"clusters/{other} has no {name}"
                yield Problem(message, Location(Path("clusters", env, name), 1))


@rule(
    "environments/orphaned",
    why="what is left of an environment looks like one that runs: people and commands go on "
    "changing it, and no cluster reads it",
    fix="remove the folder; `harness snapshot write --all` removes what it wrote for SLOs",
)
def orphaned(project: Project) -> Iterator[Problem]:
    root = project.repository.root
    app = root / "apps/torchserve"
    folders = {path.parent for path in app.glob("*/serving.yaml")}  # of before groups
    folders |= {path.parents[1] for path in app.glob("*/*/serving.yaml")}
    folders |= {path.parent for path in app.glob("slos/*/*.yaml")}
    for folder in sorted(folders):
        if folder.name in project.repository.environments:
            continue
        first = min(folder.rglob("*.yaml"), key=lambda path: (len(path.parts), path))
        yield Problem(f"there is no clusters/{folder.name}", Location(first.relative_to(root), 1))


@rule(
    "environments/same-objects",
    why="what staging has and production lacks was proven for nothing, or is missing where it "
    "counts",
    fix="add the object to production, or remove it from staging",
)
def same_objects(project: Project) -> Iterator[Problem]:
    for source, target in project.promotions:
        names = {str(each) for each in target.objects}
        for subject in source.objects:
            # What a HelmRelease makes is missing with it: one finding says so.
            if str(subject) not in names and _has_owner(subject, names):
                yield problem(subject, f"is not in {target.name}", "metadata", "name")


def _has_owner(subject: Object, names: set[str]) -> bool:
    return subject.owner.kind != "HelmRelease" or str(subject.owner) in names


@rule(
    "environments/protection",
    why="a security setting or a probe that staging has and production lacks protects the wrong "
    "users",
    fix="set it in the base or the chart: an overlay changes sizes, not protection",
    references=("Flux audit: no overlay weakens securityContext",),
)
def protection(project: Project) -> Iterator[Problem]:
    for source, target in project.promotions:
        for proving, taking in twins(source, target, *WORKLOADS):
            ours, theirs = pod(proving), pod(taking)
            for key, setting in mapping(ours.spec, _CONTEXT).items():
                if mapping(theirs.spec, _CONTEXT).get(key) != setting:
                    yield theirs.problem(f"{key} is {setting} in {source.name}", _CONTEXT, key)
            by_name = {each.name: each for each in theirs.containers}
            for container in ours.containers:
                if twin_container := by_name.get(container.name):
                    yield from _weaker(container, twin_container, source.name)


def _weaker(container: Container, twin: Container, source: str) -> Iterator[Problem]:
    for key, setting in mapping(container.value, _CONTEXT).items():
        if mapping(twin.value, _CONTEXT).get(key) != setting:
            yield twin.problem(f"{key} is {setting} in {source}", _CONTEXT, key)
    for probe in PROBES:
        if mapping(container.value, probe) and not mapping(twin.value, probe):
            yield twin.problem(f"has no {probe}; {source} has", probe)


@rule(
    "environments/same-policies",
    why="a policy that is looser in production than in staging was never tested as it is",
    fix="change the policy for both: what differs is in site.yaml",
)
def guards(project: Project) -> Iterator[Problem]:
    for source, target in project.promotions:
        ours, theirs = without(source), without(target)
        for proving, taking in twins(source, target, *_GUARDS):
            proven, spec = mapping(proving.value, "spec"), mapping(taking.value, "spec")
            for key in sorted(set(proven) | set(spec)):
                if ours(str(proven.get(key))) != theirs(str(spec.get(key))):
                    rest = _difference(proven.get(key), spec.get(key), ours, theirs)
                    message = f"{key} differs from {source.name}'s"
                    yield problem(taking, message, "spec", key, *rest)


def _difference(
    proven: object, taken: object, ours: Callable[[str], str], theirs: Callable[[str], str]
) -> KeyPath:
    """The path of the first part in which two values differ."""
    pairs: Iterable[tuple[Key, object, object]] = ()
    if isinstance(proven, Mapping) and isinstance(taken, Mapping):
        pairs = ((str(key), proven.get(key), part) for key, part in taken.items())
    elif isinstance(proven, list) and isinstance(taken, list):
        pairs = ((at, *both) for at, both in enumerate(zip_longest(proven, taken)))
    for key, one, other in pairs:
        if other is not None and ours(str(one)) != theirs(str(other)):
            return (key, *_difference(one, other, ours, theirs))
    return ()


@rule(
    "environments/not-smaller",
    why="production with fewer replicas than staging fails at a load that staging bore",
    fix="give production at least as many replicas as staging",
)
def not_smaller(project: Project) -> Iterator[Problem]:
    for source, target in project.promotions:
        for proving, taking in twins(source, target, "Deployment", "StatefulSet"):
            ours, theirs = proving.dig("spec", "replicas"), taking.dig("spec", "replicas")
            if isinstance(ours, int) and isinstance(theirs, int) and theirs < ours:
                message = f"has {amount(theirs, 'replica')}, {source.name} {ours}"
                yield problem(taking, message, "spec", "replicas")


@rule(
    "environments/proven-models",
    why="a model that staging does not serve, or serves from another archive, reaches users "
    "unproven",
    fix="serve it in staging first: apps/torchserve/staging/<group>/serving.yaml",
)
def proven_models(project: Project) -> Iterator[Problem]:
    for source, target in project.promotions:
        proven = {
            key: text(model, "marName")
            for server in servers(source)
            for key, model in server.models.items()
        }
        in_load_test = {
            text(share, "model")
            for profile in project.documents(f"clusters/{source.name}/loadtest.yaml")
            for share in items(profile.value, "mix")
        }
        for server in servers(target):
            for key, model in server.models.items():
                # Asked for in the load test, and served nowhere there: snapshot/load says so.
                is_asked = key not in proven and key.partition("/")[0] in in_load_test
                if proven.get(key) != text(model, "marName") and not is_asked:
                    message = f"{source.name} does not serve {text(model, 'marName')}"
                    yield server.problem(message, "model_snapshot")
