"""site.yaml: every value is read by something."""

import re
from collections.abc import Iterator
from functools import partial

from harness.core.fix import NOTHING, REMOVED, Fix, set_at
from harness.core.problem import Problem
from harness.core.suggest import closest
from harness.core.values import mapping, text
from harness.policy.project import Project
from harness.policy.rule import problem, rule, set_to
from harness.render.objects import Object
from harness.render.rendered import Environment
from harness.render.site_forms import FORMS

_SUBSTITUTED = re.compile(r"\$\{#?(\w+)")
_READ = {"ENVIRONMENT", *FORMS}  # by `harness` itself


@rule(
    "site/unread",
    why="a value that nothing reads changes nothing, and whoever wrote it believes that it does: a "
    "key that is misspelt leaves the right one without its value",
    fix="correct the key, write ${KEY} where the value is meant, or remove it",
)
def values_are_read(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        site = environment.find("ConfigMap", "site", "flux-system")
        if site and environment.files:
            known = _READ | _all_variables(project, environment)
            for key in map(str, mapping(site.value, "data")):
                if key not in known:
                    yield _unread(site, key, known)


def _all_variables(project: Project, environment: Environment) -> set[str]:
    """The variables that the files of an environment have, with a default or without."""
    return {
        name
        for path in environment.files
        for name in project.remember(f"variables of {path}", partial(_variables, project, path))
    }


def _variables(project: Project, path: str) -> set[str]:
    return set(_SUBSTITUTED.findall(project.text(path)))


def _unread(site: Object, key: str, known: set[str]) -> Problem:
    meant = next(iter(closest(key, known)), "")
    message = f"nothing reads {key}" + (f"; {meant} is meant?" if meant else "")
    return problem(site, message, "data", key, fix=_renaming(site, key, meant))


def _renaming(site: Object, key: str, meant: str) -> Fix:
    """The same value under the key that is meant, where that has none yet."""
    if not meant or text(site.value, "data", meant) not in ("", "UNSET"):
        return NOTHING
    to = text(site.value, "data", key)
    return set_to(site, REMOVED, "data", key) + set_at(site.at("data", meant), to)
