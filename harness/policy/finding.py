"""A finding: data, so that text, JSON, SARIF and JUnit report the same."""

import dataclasses
import enum
import itertools
from dataclasses import dataclass

from harness.core.problem import Location


class Severity(enum.StrEnum):
    """How bad it is. An error fails the check; a warning is only shown."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with its rule's severity and fix, and the environments that have it."""

    rule: str
    severity: Severity
    message: str
    location: Location
    object: str
    environments: tuple[str, ...]
    fix: str

    def only(self, *environments: str) -> "Finding":
        """The same finding, of these environments."""
        return dataclasses.replace(self, environments=environments)


def changed_line(current: str, expected: str) -> int | None:
    """The first line (from 1) in which two texts differ, or None if they are the same."""
    pairs = itertools.zip_longest(current.splitlines(), expected.splitlines())
    return next((line for line, (old, new) in enumerate(pairs, start=1) if old != new), None)
