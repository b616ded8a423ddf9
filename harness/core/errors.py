"""The errors that reach a person, and the exit code of each.

    HarnessError            3   no judgement was possible: something is missing or failed
    ├── InputError          1   the subject is bad: a file, a model, a setting
    └── UsageError          2   the call was wrong: an option, an unknown environment

The CLI catches ``HarnessError`` and prints its text; anything else is a bug and keeps its
traceback. A message says what is wrong, where (``file:line``), and what to do next.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a source file. ``line`` counts from 1; ``None`` where no line is meant."""

    path: Path
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else str(self.path)


class HarnessError(Exception):
    """No judgement was possible. ``hint`` is the next thing to do or type."""

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
    """The subject is bad: the file, model or setting that was to be judged or used."""

    exit_code = 1


class UsageError(HarnessError):
    """The call was wrong: nothing was judged, nothing was written."""

    exit_code = 2
