"""The errors that reach a person, and the exit code of each.

    HarnessError            3   could not evaluate: something is missing or failed
    ├── InputError          1   check failed: a file, a model or a setting is bad
    └── UsageError          2   usage error: an option, an unknown environment

The CLI catches ``HarnessError`` and prints its text; anything else is a bug and keeps its
traceback. A message says what is wrong, where (``file:line``), and what to do next.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Self

from harness.core.problem import Location, Problem

__all__ = ["HarnessError", "InputError", "Location", "UsageError"]


class HarnessError(Exception):
    """Could not evaluate. ``hint`` is the next thing to do or type."""

    exit_code = 3

    def __init__(self, message: str, *, at: Location | Path | None = None, hint: str = "") -> None:
        self.message = message
        self.at = Location(at) if isinstance(at, Path) else at
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        where = f"{self.at}: " if self.at else ""
        hint = f"\n  → {self.hint}" if self.hint else ""
        return f"{where}{self.message}{hint}"


class InputError(HarnessError):
    """The file, model or setting that was to be checked or used is bad.

    Attributes:
        problems: each mistake and its place, where several were found at once.
    """

    exit_code = 1
    problems: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """An error that reports several problems, each on a line of its own."""
        reported = tuple(problems)
        error = cls("\n".join(f"{each.location}: {each.message}" for each in reported))
        error.problems = reported
        return error

    def relocate(self, old: Path, new: Path) -> Self:
        """The same about the files of a copy, of which the person's lie below ``new``."""

        def place(at: Location) -> Location:
            inside = at.path.is_relative_to(old)
            return replace(at, path=new / at.path.relative_to(old)) if inside else at

        message = self.message.replace(str(old), str(new))
        error = type(self)(message, at=self.at and place(self.at), hint=self.hint)
        error.problems = tuple(
            replace(each, location=place(each.location)) for each in self.problems
        )
        return error

    def problems_at(self, default: Location) -> tuple[Problem, ...]:
        """Every problem; of an error without a place, at the ``default`` one."""
        return self.problems or (Problem(self.message, self.at or default),)


class UsageError(HarnessError):
    """The command line is wrong: nothing was checked, nothing was written."""

    exit_code = 2
