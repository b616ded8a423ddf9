"""Steps, and what ``plan`` and ``apply`` make of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.bootstrap.installation import Installation
from harness.core import console
from harness.core.errors import HarnessError

Status = Literal["done", "pending", "manual", "blocked"]
_SIGNS: dict[Status, str] = {"done": "✓", "pending": "+", "manual": "!", "blocked": "·"}
_OLD_STATES: dict[Status, str] = {
    "done": "is so",
    "pending": "to do",
    "manual": "yours",
    "blocked": "later",
}

_INDENT = " " * 14


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a step found.

    Attributes:
        lines: what exists, or what is missing.
        changes: what applying the step would change; empty if it is done already.
        manual: what to type or do next, where only a person can.
    """

    lines: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    manual: str = ""

    @property
    def is_done(self) -> bool:
        """Return whether nothing remains to be done."""
        return not self.changes and not self.manual


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an installation.

    Attributes:
        what: its purpose, shown where it cannot be inspected yet.
        inspect: changes nothing.
        apply: creates what ``inspect`` found missing; None if there is never anything to create.
        after: the steps without which ``inspect`` has nothing to inspect.
    """

    name: str
    what: str
    inspect: Callable[[Installation], Inspection]
    apply: Callable[[Installation, console.Update], None] | None = None
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """The outcome of one step.

    Attributes:
        status: ``done``; ``pending``: apply would change something; ``manual``: a person has to go
            on; ``blocked``: it waits for an earlier step.
        next: what a person has to type or do.
        applied: whether this very run made the changes.
    """

    name: str
    status: Status
    lines: tuple[str, ...]
    next: str = ""
    applied: bool = False

    def as_json(self) -> dict[str, object]:
        """Return the row as plain values; ``state`` is the old word, until 2027-03-01."""
        state = "done" if self.applied else _OLD_STATES[self.status]
        row = {"name": self.name, "status": self.status, "state": state}
        return {**row, "lines": self.lines, "next": self.next}


def plan(steps: Sequence[Step], installation: Installation) -> list[Row]:
    """Inspect every step that can be inspected already."""
    rows: list[Row] = []
    for step in steps:
        missing = _missing(step, rows)
        row = (
            _blocked_row(step, missing) if missing else _row(step.name, step.inspect(installation))
        )
        rows.append(row)
    return rows


def apply(steps: Sequence[Step], installation: Installation) -> Iterator[Row]:
    """Apply the pending steps in order, and yield each step once it is done.

    Raises:
        HarnessError: a step failed, or only a person can go on; the text says what to type.
    """
    rows: list[Row] = []
    for index, step in enumerate(steps):
        inspection = step.inspect(installation)
        if inspection.manual:
            others = _manual_rows(steps[index + 1 :], installation, rows)
            raise _manual_error([_row(step.name, inspection), *others], installation)
        if inspection.is_done:
            rows.append(_row(step.name, inspection))
        else:
            rows.append(_apply_step(step, inspection, installation))
        yield rows[-1]


def format_rows(rows: Sequence[Row]) -> str:
    """Return the rows as text."""
    return "\n".join(line for row in rows for line in _lines(row))


def format_progress(row: Row) -> str:
    """Return a row, without the line that the console has shown already if it was applied."""
    if not row.applied:
        return format_rows([row])
    return "\n".join(f"{_INDENT}{line}" for line in row.lines)


def _apply_step(step: Step, inspection: Inspection, installation: Installation) -> Row:
    again = installation.again
    if step.apply is None:
        raise HarnessError(f"{step.name}: {'; '.join(inspection.changes)}", hint=again)
    with console.step(step.name) as update:
        step.apply(installation, update)
    after = step.inspect(installation)
    if not after.is_done:
        remaining = "; ".join((*after.changes, after.manual))
        raise HarnessError(f"{step.name} was applied, but is not done: {remaining}", hint=again)
    return Row(step.name, "done", inspection.changes + after.lines[1:], applied=True)


def _manual_error(rows: Sequence[Row], installation: Installation) -> HarnessError:
    """Return everything that a person has to do, at once instead of one thing per run."""
    lines = [f"{row.name}: {line}" for row in rows for line in row.lines]
    commands = [line for row in rows for line in row.next.splitlines()]
    hints = [*dict.fromkeys(commands), f"then run again: {installation.again}"]
    return HarnessError("\n".join(lines), hint="\n  → ".join(hints))


def _manual_rows(
    steps: Sequence[Step], installation: Installation, rows: Sequence[Row]
) -> list[Row]:
    """Return the other steps that a person has to do, of those that can be inspected."""
    ready = [step for step in steps if not _missing(step, rows)]
    return [
        _row(step.name, inspection)
        for step in ready
        if (inspection := step.inspect(installation)).manual
    ]


def _missing(step: Step, rows: Sequence[Row]) -> list[str]:
    names_done = {row.name for row in rows if row.status == "done"}
    return [name for name in step.after if name not in names_done]


def _row(name: str, inspection: Inspection) -> Row:
    if inspection.manual:
        return Row(name, "manual", inspection.lines, inspection.manual)
    status: Status = "done" if inspection.is_done else "pending"
    return Row(name, status, inspection.changes or inspection.lines)


def _blocked_row(step: Step, missing: Sequence[str]) -> Row:
    return Row(step.name, "blocked", (f"after {', '.join(missing)}: {step.what}",))


def _lines(row: Row) -> Iterator[str]:
    first, *rest = row.lines or ("",)
    yield f"{_SIGNS[row.status]} {row.name:<12}{first}".rstrip()
    yield from (f"{_INDENT}{line}" for line in rest)
    yield from (f"{_INDENT[2:]}→ {line}" for line in row.next.splitlines())
