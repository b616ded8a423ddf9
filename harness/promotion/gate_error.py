"""A gate that is not passed, and how it says so."""

from collections.abc import Sequence

_LISTED = 5  # of many problems of one kind


class GateError(Exception):
    """A gate is not passed: what it found, and what to do."""

    def __init__(self, finding: str, hint: str) -> None:
        self.finding, self.hint = finding, hint
        super().__init__(finding)


def first_of(problems: Sequence[str]) -> str:
    """The first few of what may be many."""
    more = f" and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
    return "; ".join(problems[:_LISTED]) + more
