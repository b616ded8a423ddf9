"""Something that is wrong, and the place in a source file where it is.

Everything that looks for mistakes yields a ``Problem``: schemas, YAML lint, the render, the rules.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a source file. ``line`` counts from 1; ``None`` if no line is meant."""

    path: Path
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else str(self.path)


Row = tuple[str, str, int | None, str, str]
"""A problem as a list of JSON."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong.

    Attributes:
        message: what is wrong.
        location: where to correct it.
        object: the Kubernetes object that has it; empty for a file that is none.
        rule: the id of the rule that it breaks; rules leave it to the engine.
    """

    message: str
    location: Location
    object: str = ""
    rule: str = ""

    @property
    def row(self) -> Row:
        """The same for a cache."""
        at = self.location
        return (self.message, str(at.path), at.line, self.object, self.rule)

    @classmethod
    def from_row(cls, row: Row) -> "Problem":
        """The problem that a cache has kept."""
        message, path, line, subject, rule = row
        return cls(message, Location(Path(path), line), subject, rule)
