"""Environments: none reads, names or deletes what is another's."""

import functools
import operator
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.core.fix import set_at
from harness.core.problem import Location, Problem
from harness.core.values import dig, text
from harness.policy.facts import identity
from harness.policy.project import Project
from harness.policy.rule import rule

_EVIDENCE = "evidence"  # of releases that another environment proved


@rule(
    "environments/own-names",
    why="a file that was copied and still names the environment that it came from acts on that "
    "one: its folder is applied, its cluster is deleted, its tokens are let in",
    fix="write the name of the environment whose file it is; what all share belongs in infra/ or "
    "apps/torchserve/base",
)
def own_names(project: Project) -> Iterator[Problem]:
    known = project.repository.environments
    names = identity.Names(tuple(known))
    for env in project.environments:
        for path in _files(project, env):
            content = project.text(path).casefold()
            if not any(other != env and other.casefold() in content for other in known):
                continue
            yield from _foreign(project, path, env, names)


def _files(project: Project, env: str) -> Iterator[str]:
    """The YAML files that are written for an environment alone."""
    for parent in ("clusters", "apps/torchserve"):
        folder = project.repository.root / parent / env
        for path in sorted(folder.rglob("*.yaml")):
            relative = path.relative_to(project.repository.root)
            if _EVIDENCE not in relative.parts:
                yield str(relative)


def _foreign(project: Project, path: str, env: str, names: identity.Names) -> Iterator[Problem]:
    """One problem for each other environment that a file names: a copied file is one mistake."""
    by_name: dict[str, list[tuple[str, Location]]] = defaultdict(list)
    for document in project.documents(path):
        for other, content, at in identity.foreign_values(document, env, names):
            by_name[other].append((content, at))
    for other, places in by_name.items():
        (content, at), more = places[0], len(places) - 1
        # A block of text is somebody's patch: nothing is written into that.
        fix = functools.reduce(
            operator.add,
            (set_at(place, identity.with_own_name(each, other, env)) for each, place in places),
        )
        rest = f", and {more} more value{'s' if more > 1 else ''} of this file" if more else ""
        yield Problem(f"names {other} in a file of {env}: {content}{rest}", at, fix=fix)


# Where an environment has to be called by the name of its folder. What names another one is the
# rule's above.
_CALLED = (
    ("site.yaml", "ConfigMap", ("data", "ENVIRONMENT")),
    ("flux-system/alert.yaml", "Alert", ("spec", "eventMetadata", "environment")),
)


@rule(
    "environments/called-by-folder",
    why="tokens, evidence and Flux's events go by the name of the environment's folder: under "
    "another one, no token is let in and no workflow follows a reconciliation",
    fix="write the name of the folder under clusters/",
)
def called_by_folder(project: Project) -> Iterator[Problem]:
    names = identity.Names(tuple(project.repository.environments))
    for env in project.environments:
        for file, kind, path in _CALLED:
            for document in project.documents(f"clusters/{env}/{file}"):
                called = dig(document.value, *path)
                if text(document.value, "kind") != kind or called in (None, env):
                    continue
                if not names.foreign(env, str(called)):
                    at = document.at(path)
                    yield Problem(f"calls {env} {called}", at, fix=set_at(at, env))


@rule(
    "environments/own-values",
    why="two environments with one file system, bucket, key, cluster, host or audience are one: "
    "what is deleted, filled or let in at one is lost, changed or open at the other",
    fix="give the environment its own: `harness bootstrap apply` and `harness efs apply` write "
    "what they make; what environments may share is listed in docs/environments.md",
)
def own_values(project: Project) -> Iterator[Problem]:
    proving = set(project.sources.values())
    # What proves others comes first: of two equal values the other environment's is the copy.
    names = sorted(project.environments, key=lambda env: (env not in proving, env))
    owners: dict[str, tuple[str, Location]] = {}
    for env in names:
        shared: dict[tuple[Path, str], list[tuple[str, Location]]] = defaultdict(list)
        for identifier, claim in identity.claims(project, project.environments[env]).items():
            owner, at = owners.setdefault(identifier, (env, claim.at))
            if owner == env or _names_another(project, identifier, {env: claim.at, owner: at}):
                continue
            shared[claim.at.path, owner].append((f"{claim.what} {identifier}", claim.at))
        for (_, owner), values in shared.items():
            message = "; ".join(dict.fromkeys(what for what, _ in values))
            yield Problem(f"{owner} has the same: {message}", values[0][1])


def _names_another(project: Project, identifier: str, places: Mapping[str, Location]) -> bool:
    """Whether a file of one of the environments names another one: the rule above says so."""
    names = identity.Names(tuple(project.repository.environments))
    return any(
        names.foreign(env, identifier) and env in at.path.parts for env, at in places.items()
    )
