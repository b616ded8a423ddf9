"""Something that is wrong, and the place in a source file where it is.

Everything that looks for mistakes yields a ``Problem``: schemas, YAML lint, the render, the rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.fix import NOTHING, Fix
from harness.core.location import Location

__all__ = ["Location", "Problem", "Row"]


Row = tuple[str, str, int | None, str, str, Mapping[str, object]]
"""A problem as a list of JSON."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong.

    Attributes:
        message: what is wrong.
        location: where to correct it.
        object: the Kubernetes object that has it; empty for a file that is none.
        rule: the id of the rule that it breaks; rules leave it to the engine.
        fix: what to change; empty where the rule's own text has to do.
    """

    message: str
    location: Location
    object: str = ""
    rule: str = ""
    fix: Fix = field(default=NOTHING, compare=False)

    @property
    def row(self) -> Row:
        """The same for a cache."""
        at, fix = self.location, self.fix if self.fix.possible else NOTHING
        return (self.message, str(at.path), at.line, self.object, self.rule, fix.row)

    @classmethod
    def from_row(cls, row: Row) -> "Problem":
        """The problem that a cache has kept."""
        message, path, line, subject, rule, fix = row
        return cls(message, Location(Path(path), line), subject, rule, Fix.from_row(fix))
