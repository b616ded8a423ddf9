"""A finding: data, so that text, JSON, SARIF and JUnit report the same."""

import dataclasses
import enum
import itertools
from dataclasses import dataclass, field

from harness.core.fix import NOTHING, Fix
from harness.core.problem import Location
from harness.policy.repair import Replacement


class Severity(enum.StrEnum):
    """How bad it is. An error fails the check; a warning is only shown."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with its rule's severity and fix, and the environments that have it.

    Attributes:
        fix: for people: what ``repair`` does, or else the rule's own text.
        repair: the machine form of the fix; empty where only a person knows what to change.
        replacements: the lines that it changes.
    """

    rule: str
    severity: Severity
    message: str
    location: Location
    object: str
    environments: tuple[str, ...]
    fix: str
    repair: Fix = field(default=NOTHING, compare=False)
    replacements: tuple[Replacement, ...] = field(default=(), compare=False)

    def only(self, *environments: str) -> "Finding":
        """The same finding, of these environments."""
        return dataclasses.replace(self, environments=environments)


def changed_line(current: str, expected: str) -> int | None:
    """The first line (from 1) in which two texts differ, or None if they are the same."""
    pairs = itertools.zip_longest(current.splitlines(), expected.splitlines())
    return next((line for line, (old, new) in enumerate(pairs, start=1) if old != new), None)
