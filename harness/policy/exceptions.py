"""exceptions.yaml: the findings that are known and meant, each with a reason and an end.

    exceptions:
      - rule: resources/cpu-limit
        object: Deployment/torchserve/*
        reason: a CPU limit throttles inference, and latency is what is promised
        expires: 2027-06-30

``object`` and ``environments`` are patterns as in a shell. An exception whose day has come does
not apply, and one that nothing needs is an error.
"""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from harness.core.document import Document, Strict, parse, read_text, validate
from harness.core.errors import InputError, Location
from harness.core.repository import Repository
from harness.policy.finding import Finding

FILE = Path("exceptions.yaml")
_Text = Annotated[str, StringConstraints(min_length=1)]


class Entry(Strict):
    """One exception."""

    rule: _Text
    object: _Text
    environments: tuple[_Text, ...] = ("*",)
    reason: Annotated[str, StringConstraints(min_length=10)]
    expires: datetime.date


class _File(Strict):
    exceptions: tuple[Entry, ...] = Field(default=())


@dataclass(frozen=True, slots=True)
class Exemption:
    """An entry and its place in the file."""

    entry: Entry
    location: Location

    def covers(self, finding: Finding, environment: str) -> bool:
        """Whether the finding is meant, in that environment."""
        return (
            self.entry.rule == finding.rule
            and fnmatchcase(finding.object, self.entry.object)
            and any(fnmatchcase(environment, each) for each in self.entry.environments)
        )


@dataclass(frozen=True, slots=True)
class Excused:
    """A finding that an exception covers."""

    finding: Finding
    reason: str
    expires: datetime.date


def load(repository: Repository) -> list[Exemption]:
    """The exceptions of a checkout; none where the file is missing.

    Raises:
        InputError: the file is not what it should be.
    """
    path = repository.root / FILE
    if not path.exists():
        return []
    documents: list[Document] = parse(read_text(path), FILE)
    if len(documents) != 1:
        raise InputError(f"{len(documents)} YAML documents where one is expected", at=FILE)
    file = validate(documents[0], _File)
    return [
        Exemption(entry, documents[0].at(("exceptions", index)))
        for index, entry in enumerate(file.exceptions)
    ]


def apply(
    findings: Iterable[Finding], exceptions: Sequence[Exemption], today: datetime.date
) -> tuple[list[Finding], list[Excused], list[Exemption], list[Exemption]]:
    """Sort findings by the exceptions.

    Returns:
        What stays; what is excused; the exceptions that have expired; those that nothing needs.
    """
    valid = [each for each in exceptions if each.entry.expires >= today]
    used: set[int] = set()
    kept: list[Finding] = []
    excused: list[Excused] = []
    for finding in findings:
        left = []
        for environment in finding.environments or ("",):
            found = next((each for each in valid if each.covers(finding, environment)), None)
            if found is None:
                left.append(environment)
            else:
                used.add(id(found))
                own = finding.only(environment)
                excused.append(Excused(own, found.entry.reason, found.entry.expires))
        if left:
            kept.append(finding.only(*filter(None, left)))
    expired = [each for each in exceptions if each not in valid]
    return kept, excused, expired, [each for each in valid if id(each) not in used]
