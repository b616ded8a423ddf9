"""A rule: a generator over an object, an environment or the whole project.

    @rule(
        "gpu/limits-equal-requests",
        why="a GPU cannot be shared by asking for less",
        fix="set requests and limits of nvidia.com/gpu to the same quoted whole number",
        references=("NSA/CISA C-0271",),
        kinds=("Deployment", "Job"),
    )
    def limits_equal_requests(deployment: Object) -> Iterator[Problem]:
        yield problem(deployment, "asks for no GPU", "spec", "template", "spec")

Where one value is right, the rule says it (``problem(…, *path, to=2)``, or ``fix=set_to(other, 2,
*path)``): the printed fix is made from it, and ``harness check --fix`` writes it.

What the function is called with follows from the annotation of its one argument: ``Object``
(every object of every environment, or of ``kinds``), ``Environment`` or ``Project``.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar, get_type_hints

from harness.core.fix import NOTHING, Fix, set_at
from harness.core.problem import Problem
from harness.core.values import Key
from harness.policy.finding import Severity
from harness.policy.project import Project
from harness.render.objects import Object
from harness.render.rendered import Environment

Subject = TypeVar("Subject", Object, Environment, Project)
Evaluate = Callable[[Subject], Iterator[Problem]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule and everything a reader wants to know about it.

    Attributes:
        id: ``<family>/<kebab-name>``.
        why: one line: what goes wrong in the cluster without it.
        fix: one line: what to write instead.
        references: the published rules that it implements.
        kinds: the kinds of object that it looks at; every kind when empty.
        like: the checks of other tools that look at the same (decision 8 says why it is kept).
        first: whether its findings explain whatever else an environment has: until they are gone,
            nothing else is said about it.
        scope: what it is called with.
        evaluate: the rule itself; None for what the engine itself reports.
    """

    id: str
    why: str
    fix: str
    severity: Severity = Severity.ERROR
    references: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    scope: type = Object
    evaluate: Callable[..., Iterator[Problem]] | None = None
    like: tuple[str, ...] = ()
    first: bool = False


REGISTRY: dict[str, Rule] = {}


def rule(
    identifier: str,
    *,
    why: str,
    fix: str,
    severity: Severity = Severity.ERROR,
    references: tuple[str, ...] = (),
    kinds: tuple[str, ...] = (),
    like: tuple[str, ...] = (),
    first: bool = False,
) -> Callable[[Evaluate[Subject]], Evaluate[Subject]]:
    """Register the decorated generator as a rule."""

    def register(evaluate: Evaluate[Subject]) -> Evaluate[Subject]:
        hints = get_type_hints(evaluate)
        hints.pop("return")
        (scope,) = hints.values()
        declare(
            Rule(identifier, why, fix, severity, references, kinds, scope, evaluate, like, first)
        )
        return evaluate

    return register


def declare(new: Rule) -> Rule:
    """Put a rule into the registry."""
    if new.id in REGISTRY:
        raise ValueError(f"two rules are called {new.id}")
    REGISTRY[new.id] = new
    return new


def problem(
    subject: Object, message: str, *path: Key, to: object = None, fix: Fix = NOTHING
) -> Problem:
    """A problem of an object, at the source line that ``path`` came from.

    Args:
        subject: the object.
        message: what is wrong.
        path: the field that is wrong.
        to: the value that would be right there, or ``REMOVED``; None where no single one is.
        fix: what else to change.
    """
    at = subject.at(*path)
    edit = NOTHING if to is None else set_at(at, to)
    return Problem(message, at, str(subject), fix=edit + fix)


def set_to(subject: Object, to: object, *path: Key) -> Fix:
    """Another value, or ``REMOVED``, for a field of an object, where its source says it."""
    return set_at(subject.at(*path), to)


def of_release(subject: Object, problem: Problem) -> Problem:
    """The same problem for the HelmRelease to answer: a third-party chart made the object."""
    message = f"{subject}: {problem.message}"
    return dataclasses.replace(problem, message=message, object=str(subject.owner))
