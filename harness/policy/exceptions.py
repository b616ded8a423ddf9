"""exceptions.yaml: the findings that are suppressed, each with a reason and an expiry date.

    exceptions:
      - rule: sources/by-digest
        object: OCIRepository/flux-system/envoy-gateway
        reason: the digest is known only to a machine that reaches the registry
        expires: 2027-06-30

``object`` and ``environments`` are patterns as in a shell; where a finding is about no object, its
file is meant. An exception that has expired, is for every object or ends in more than a year
suppresses nothing, and one that no finding needs is an error.
"""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from harness.core import yamlfile
from harness.core.errors import InputError
from harness.core.problem import Location
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, text
from harness.policy.finding import Finding
from harness.policy.renamed import current_id

FILE = Path("exceptions.yaml")
_KEYS = ("rule", "object", "environments", "reason", "expires")
_LONGEST = 366  # days: what nobody looks at in a year has no end
# What lets anybody in, or lets out what is secret: each object needs an exception of its own.
_BY_NAME = ("gateway/authenticated", "promotion/evidence", "secrets/encrypted", "secrets/in-text")
_SHORTEST = 10  # characters: a reason that fits into fewer explains nothing


@dataclass(frozen=True, slots=True)
class Suppression:
    """One exception, and its place in the file."""

    rule: str
    object: str
    environments: tuple[str, ...]
    reason: str
    expires: datetime.date
    location: Location

    def names(self, subject: str) -> bool:
        """Whether it is about this object."""
        return fnmatchcase(subject, self.object)

    def excess(self, today: datetime.date) -> str:
        """What it suppresses beyond an object and a year; empty where it is bounded by both."""
        days = (self.expires - today).days
        if days > _LONGEST:
            return f"{self.rule} until {self.expires}: more than a year"
        if not self.object.strip("*?/"):
            return f"{self.rule} of every object: it switches the rule off"
        if self.rule in _BY_NAME and any(each in self.object for each in "*?["):
            return f"{self.rule} of {self.object}: each object needs its own name here"
        return ""

    def covers(self, finding: Finding, environment: str) -> bool:
        """Whether it suppresses the finding in that environment; a file is named by its path."""
        return (
            self.rule == finding.rule
            and self.names(finding.object or str(finding.location.path))
            and any(fnmatchcase(environment, each) for each in self.environments)
        )


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A finding that an exception covers."""

    finding: Finding
    reason: str
    expires: datetime.date


@dataclass(frozen=True, slots=True)
class Result:
    """What exceptions leave.

    Attributes:
        findings: what no exception covers.
        suppressed: what one does.
        expired: the exceptions that no longer apply.
        unused: the exceptions that no finding needs.
    """

    findings: list[Finding]
    suppressed: list[Suppressed]
    expired: list[Suppression]
    unused: list[Suppression]


def load(repository: Repository) -> list[Suppression]:
    """The exceptions of a repository; none if the file is missing.

    Raises:
        InputError: the file is not what it should be.
    """
    path = repository.root / FILE
    if not path.exists():
        return []
    return [
        _suppression(mapping(value), document.at(("exceptions", index)))
        for document in yamlfile.parse(yamlfile.read_text(path), FILE)
        for index, value in enumerate(items(document.value, "exceptions"))
    ]


def _suppression(value: Value, at: Location) -> Suppression:
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
    rule = current_id(text(value, "rule"))
    return Suppression(rule, text(value, "object"), environments, reason, expires, at)


def apply(
    findings: Iterable[Finding], suppressions: Sequence[Suppression], today: datetime.date
) -> Result:
    """Sort findings by the exceptions."""
    valid = [each for each in suppressions if each.expires >= today]
    expired = [each for each in suppressions if each.expires < today]
    used: set[int] = set()
    remaining: list[Finding] = []
    suppressed: list[Suppressed] = []
    for finding in findings:
        uncovered = []
        for environment in finding.environments or ("",):
            match = next((each for each in valid if each.covers(finding, environment)), None)
            if match is None:
                uncovered.append(environment)
            else:
                used.add(id(match))
                part = finding.only(environment)
                suppressed.append(Suppressed(part, match.reason, match.expires))
        if uncovered:
            remaining.append(finding.only(*filter(None, uncovered)))
    unused = [each for each in valid if id(each) not in used]
    return Result(remaining, suppressed, expired, unused)
