"""What a rule found: data, so that text, JSON, SARIF and JUnit say the same."""

import dataclasses
import enum
import itertools
from dataclasses import dataclass

from harness.core.errors import Location


class Severity(enum.StrEnum):
    """How bad it is. An error fails the check; a warning is only shown."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """What a rule yields: what is wrong, where, and with which object."""

    message: str
    location: Location
    object: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with the rule that saw it and the environments that have it."""

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


def changed_line(have: str, wanted: str) -> int | None:
    """The first line (from 1) in which two texts differ; None where they are the same."""
    pairs = itertools.zip_longest(have.splitlines(), wanted.splitlines())
    return next((line for line, (old, new) in enumerate(pairs, start=1) if old != new), None)
