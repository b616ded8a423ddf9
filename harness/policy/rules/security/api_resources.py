"""What roles and admission policies are about is a resource of the API."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.suggest import did_you_mean
from harness.core.values import KeyPath, items
from harness.policy.project import Project
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.schema import catalog
from harness.schema.api_resources import plurals, resources

# Where each kind has its lists of apiGroups and resources.
_PLACES: dict[str, tuple[KeyPath, ...]] = {
    "ClusterRole": (("rules",),),
    "Role": (("rules",),),
    "ValidatingAdmissionPolicy": (
        ("spec", "matchConstraints", "resourceRules"),
        ("spec", "matchConstraints", "excludeResourceRules"),
    ),
    "ValidatingAdmissionPolicyBinding": (
        ("spec", "matchResources", "resourceRules"),
        ("spec", "matchResources", "excludeResourceRules"),
    ),
}


@rule(
    "references/api-resource",
    why="a role or a policy about a resource that the API does not have is stored without a word, "
    "and allows or refuses nothing",
    fix="write the resource's plural, in the API group that has it",
)
def known_resources(project: Project) -> Iterator[Problem]:
    known = resources(catalog.find(project.repository))
    reported = set()
    for environment in project.environments.values():
        for subject in environment.of(*_PLACES):
            for place in _PLACES[subject.kind]:
                for each in _unknown(subject, place, known):
                    if each not in reported:
                        reported.add(each)
                        yield each


def _unknown(subject: Object, place: KeyPath, known: dict[str, set[str]]) -> Iterator[Problem]:
    for index, each in enumerate(items(subject.value, *place)):
        groups = [str(group) for group in items(each, "apiGroups")]
        if not set(groups) <= set(known):
            continue  # somebody else's API, or all of them
        available = set().union(*(known[group] for group in groups))
        for number, resource in enumerate(items(each, "resources")):
            name, slash, below = str(resource).partition("/")
            if name == "*" or name in available:
                continue
            where = (*place, index, "resources", number)
            meant = plurals(name) & available
            to = f"{min(meant)}{slash}{below}" if meant else None
            shown = " or ".join(group or "the core group" for group in groups)
            message = f"there is no resource {name} in {shown}{did_you_mean(name, available)}"
            yield problem(subject, message, *where, to=to)
