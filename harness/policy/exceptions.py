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

from harness.core import yamlfile
from harness.core.errors import InputError, Location
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, text
from harness.policy.finding import Finding

FILE = Path("exceptions.yaml")
_KEYS = ("rule", "object", "environments", "reason", "expires")
_SHORTEST = 10  # characters: a reason that fits into fewer is none


@dataclass(frozen=True, slots=True)
class Entry:
    """One exception, as it is written."""

    rule: str
    object: str
    environments: tuple[str, ...]
    reason: str
    expires: datetime.date


@dataclass(frozen=True, slots=True)
class Exemption:
    """An entry and its place in the file."""

    entry: Entry
    location: Location

    def names(self, subject: str) -> bool:
        """Whether it is about this object."""
        return fnmatchcase(subject, self.entry.object)

    def covers(self, finding: Finding, environment: str) -> bool:
        """Whether the finding is meant, in that environment."""
        return (
            self.entry.rule == finding.rule
            and self.names(finding.object)
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
    found = []
    for parsed in yamlfile.parse(yamlfile.read_text(path), FILE):
        for index, value in enumerate(items(parsed.value, "exceptions")):
            at = parsed.at(("exceptions", index))
            found.append(Exemption(_entry(mapping(value), at), at))
    return found


def _entry(value: Value, at: Location) -> Entry:
    unknown = [str(key) for key in value if key not in _KEYS]
    if unknown:
        raise InputError(f"unknown key {unknown[0]}", at=at, hint=f"one of: {', '.join(_KEYS)}")
    if not text(value, "rule") or not text(value, "object"):
        raise InputError("an exception names a rule and an object", at=at)
    reason = text(value, "reason")
    if len(reason) < _SHORTEST:
        raise InputError("an exception needs a reason that explains it", at=at)
    try:
        expires = datetime.date.fromisoformat(str(value.get("expires")))
    except ValueError:
        raise InputError("expires must be a date such as 2027-06-30", at=at) from None
    environments = tuple(map(str, items(value, "environments"))) or ("*",)
    return Entry(text(value, "rule"), text(value, "object"), environments, reason, expires)


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
