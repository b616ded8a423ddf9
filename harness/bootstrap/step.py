"""Steps, and what ``plan`` and ``apply`` make of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.bootstrap.installation import Installation
from harness.core import console
from harness.core.errors import HarnessError

State = Literal["is so", "to do", "yours", "later", "done"]
_SIGNS: dict[State, str] = {"is so": "✓", "to do": "+", "yours": "!", "later": "·", "done": "✓"}

_INDENT = " " * 14


@dataclass(frozen=True, slots=True)
class Look:
    """How a step stands.

    Attributes:
        lines: what is there, or what is not.
        changes: what doing the step would change; none where it is so already.
        person: what to type or do next, where only a person can.
    """

    lines: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    person: str = ""

    @property
    def so(self) -> bool:
        """Whether there is nothing left to do."""
        return not self.changes and not self.person


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an installation.

    Attributes:
        what: what it is for, said where it cannot be looked at yet.
        look: changes nothing.
        do: makes what ``look`` found missing; None where there is never anything to make.
        after: the steps without which ``look`` has nothing to look at.
    """

    name: str
    what: str
    look: Callable[[Installation], Look]
    do: Callable[[Installation, console.Update], None] | None = None
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """What is said of a step; ``next`` is what a person has to type or do."""

    name: str
    state: State
    lines: tuple[str, ...]
    next: str = ""


def plan(steps: Sequence[Step], installation: Installation) -> list[Row]:
    """Look at every step that can be looked at already."""
    rows: list[Row] = []
    for step in steps:
        missing = _missing(step, rows)
        rows.append(_later(step, missing) if missing else _row(step.name, step.look(installation)))
    return rows


def apply(steps: Sequence[Step], installation: Installation) -> Iterator[Row]:
    """Do what is left to do, in order, and yield each step once it is so.

    Raises:
        HarnessError: a step failed, or only a person can go on; the text says what to type.
    """
    rows: list[Row] = []
    for index, step in enumerate(steps):
        found = step.look(installation)
        if found.person:
            others = _others(steps[index + 1 :], installation, rows)
            raise _stop([_row(step.name, found), *others], installation)
        rows.append(_row(step.name, found) if found.so else _done(step, found, installation))
        yield rows[-1]


def format_rows(rows: Sequence[Row]) -> str:
    """The rows as text."""
    return "\n".join(line for row in rows for line in _lines(row))


def format_progress(row: Row) -> str:
    """A row under the line that the console has shown of a step that was done."""
    if row.state != "done":
        return format_rows([row])
    return "\n".join(f"{_INDENT}{line}" for line in row.lines)


def _done(step: Step, found: Look, installation: Installation) -> Row:
    again = installation.again
    if step.do is None:
        raise HarnessError(f"{step.name}: {'; '.join(found.changes)}", hint=again)
    with console.step(step.name) as update:
        step.do(installation, update)
    after = step.look(installation)
    if not after.so:
        left = "; ".join((*after.changes, after.person))
        raise HarnessError(f"{step.name} was done, and still there is: {left}", hint=again)
    return Row(step.name, "done", found.changes + after.lines[1:])


def _stop(rows: Sequence[Row], installation: Installation) -> HarnessError:
    """What a person has to do: all of it at once, not one thing a run."""
    said = [f"{row.name}: {line}" for row in rows for line in row.lines]
    todo = [line for row in rows for line in row.next.splitlines()]
    hints = [*dict.fromkeys(todo), f"then run again: {installation.again}"]
    return HarnessError("\n".join(said), hint="\n  → ".join(hints))


def _others(steps: Sequence[Step], installation: Installation, rows: Sequence[Row]) -> list[Row]:
    """What else is a person's to do, among the steps that can be looked at."""
    found = [(step.name, step.look(installation)) for step in steps if not _missing(step, rows)]
    return [_row(name, look) for name, look in found if look.person]


def _missing(step: Step, rows: Sequence[Row]) -> list[str]:
    so = {row.name for row in rows if row.state in ("is so", "done")}
    return [name for name in step.after if name not in so]


def _row(name: str, found: Look) -> Row:
    if found.person:
        return Row(name, "yours", found.lines, found.person)
    return Row(name, "is so" if found.so else "to do", found.changes or found.lines)


def _later(step: Step, missing: Sequence[str]) -> Row:
    return Row(step.name, "later", (f"after {', '.join(missing)}: {step.what}",))


def _lines(row: Row) -> Iterator[str]:
    first, *rest = row.lines or ("",)
    yield f"{_SIGNS[row.state]} {row.name:<12}{first}".rstrip()
    yield from (f"{_INDENT}{line}" for line in rest)
    yield from (f"{_INDENT[2:]}→ {line}" for line in row.next.splitlines())
