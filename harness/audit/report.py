"""The result of an audit: what is open, what was decided, what could not be identified."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.audit import bom, verdict
from harness.audit.bom import Bom
from harness.audit.java import Java, Part
from harness.audit.scanner import SEVERITIES, Matches, Vulnerability
from harness.audit.verdict import Entry


@dataclass(frozen=True, slots=True)
class Report:
    """An audit.

    Attributes:
        open: vulnerabilities that stop: severe enough, fixed in some version, not decided.
        unfixed: severe enough, and fixed in no version.
        minor: less severe.
        hidden: in classes of which the JVM can load none.
        decided: with the verdict that covers each.
        expired: verdicts past their day.
        unused: verdicts that nothing needs.
    """

    components: Mapping[str, int]
    java: Java
    matches: Matches
    open: tuple[Vulnerability, ...]
    unfixed: tuple[Vulnerability, ...]
    minor: tuple[Vulnerability, ...]
    hidden: tuple[Vulnerability, ...]
    decided: tuple[tuple[Vulnerability, Entry], ...]
    expired: tuple[Entry, ...]
    unused: tuple[Entry, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing has to be done."""
        return not (self.open or self.expired or self.unused)


def evaluate(
    materials: Bom,
    java: Java,
    matches: Matches,
    entries: Sequence[Entry],
    least: str,
    today: datetime.date,
    may_be_unused: Sequence[Entry] = (),
) -> Report:
    """Sort the vulnerabilities by what has to be done.

    Args:
        least: the severity from which a vulnerability stops, one of ``SEVERITIES``.
        may_be_unused: the entries that are for other images too.
    """
    parts = {bom.reference(part): part for part in java.parts}
    valid = verdict.valid(entries, today)
    by_kind: dict[str, list[Vulnerability]] = {"open": [], "unfixed": [], "minor": [], "hidden": []}
    decided: list[tuple[Vulnerability, Entry]] = []
    for each in matches.vulnerabilities:
        part = parts.get(each.reference)
        entry = next((one for one in valid if one.verdict.covers(each.id, each.purl, part)), None)
        if part is not None and part.loadable == 0:
            by_kind["hidden"].append(each)
        elif entry is not None:
            decided.append((each, entry))
        else:
            by_kind[_kind(each, least)].append(each)
    used = {id(entry) for _, entry in decided}
    unused = [
        each
        for each in valid
        if id(each) not in used
        and each not in may_be_unused
        and not _is_about_a_present_package(each, parts)
    ]
    return Report(
        components=bom.count(materials),
        java=java,
        matches=matches,
        decided=tuple(decided),
        expired=tuple(each for each in entries if each not in valid),
        unused=tuple(unused),
        open=tuple(by_kind["open"]),
        unfixed=tuple(by_kind["unfixed"]),
        minor=tuple(by_kind["minor"]),
        hidden=tuple(by_kind["hidden"]),
    )


def _kind(vulnerability: Vulnerability, least: str) -> str:
    if SEVERITIES.index(vulnerability.severity) < SEVERITIES.index(least):
        return "minor"
    return "open" if vulnerability.fixed else "unfixed"


def _is_about_a_present_package(entry: Entry, parts: Mapping[str, Part]) -> bool:
    """A verdict about everything in a package is needed while the package is present."""
    return entry.verdict.vulnerability == "*" and any(
        entry.verdict.covers("", part.purl, part) for part in parts.values()
    )


def as_text(report: Report) -> str:
    """For a person."""
    lines = [f"✗ {_line(each)}" for each in report.open]
    lines += [
        f"✗ {each.at}: the verdict on {each.verdict.vulnerability} in {each.verdict.package} "
        f"expired on {each.verdict.expires}: review it, then move the date or remove it"
        for each in report.expired
    ]
    lines += [
        f"✗ {each.at}: nothing needs the verdict on {each.verdict.vulnerability} in "
        f"{each.verdict.package}: remove it"
        for each in report.unused
    ]
    for (jar, key), names in report.java.unknown.items():
        lines.append(f"? {jar}: {len(names)} classes of {key} match no known published version")
    if report.matches.end_of_life:
        lines.append("? the operating system gets no more fixes")
    lines += [f"- no fixed version yet: {_line(each)}" for each in report.unfixed]
    counts = ", ".join(f"{number} {kind}" for kind, number in sorted(report.components.items()))
    lines.append(
        f"{len(report.open) or 'no'} open · {len(report.decided)} decided · "
        f"{len(report.hidden)} in classes that nothing loads · {len(report.unfixed)} without a fix "
        f"· {len(report.minor)} minor · {counts} · database of {report.matches.updated}"
    )
    return "\n".join(lines)


def as_json(report: Report) -> dict[str, object]:
    """The same, for a program."""
    return {
        "passed": report.passed,
        "database": report.matches.updated,
        "components": dict(report.components),
        "endOfLife": report.matches.end_of_life,
        **{
            name: [_fields(each) for each in getattr(report, name)]
            for name in ("open", "unfixed", "minor", "hidden")
        },
        "decided": [
            {**_fields(each), "verdict": entry.verdict.verdict, "reason": entry.verdict.reason}
            for each, entry in report.decided
        ],
        **{
            name: [{"at": str(each.at)} for each in getattr(report, name)]
            for name in ("expired", "unused")
        },
        "unidentified": [
            {"jar": jar, "of": key, "classes": len(names)}
            for (jar, key), names in report.java.unknown.items()
        ],
    }


def _fields(each: Vulnerability) -> dict[str, str]:
    return {
        "id": each.id,
        "package": each.purl,
        "component": each.reference,
        "severity": each.severity,
        "fixed": each.fixed,
        "title": each.title,
    }


def _line(each: Vulnerability) -> str:
    where = each.reference.partition("#")[2]
    fixed = f", fixed in {each.fixed}" if each.fixed else ""
    return f"{each.id} {each.severity} {each.purl}{f' in {where}' if where else ''}{fixed}"
