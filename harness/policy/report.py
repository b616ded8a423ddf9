"""What a check found, and the same answer as JSON, SARIF, JUnit and GitHub annotations.

The keys of the JSON are a public interface: ``version`` changes when one of them does.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from harness.core import files
from harness.core.errors import HarnessError
from harness.core.words import amount
from harness.policy import unset
from harness.policy.exceptions import Suppressed
from harness.policy.finding import Finding, Severity
from harness.policy.rule import Rule
from harness.render.rendered import UnsetValue

VERSION = 1
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning"}


@dataclass(frozen=True)
class Report:
    """The outcome of a check.

    Attributes:
        findings: what is wrong, errors first, by file and line.
        suppressed: what exceptions.yaml covers.
        unset: every value that is still UNSET.
        objects: how many objects each environment has.
        rules: every rule that was asked.
        seconds: how long it took.
        not_validated: how many objects the API server's own code was not asked about, since
            nobody has built it here.
        not_run: what could not be looked at on this machine, each with what it takes.
        notes: what no file here says, so that nothing was judged by it.
    """

    findings: tuple[Finding, ...]
    suppressed: tuple[Suppressed, ...]
    unset: tuple[UnsetValue, ...]
    objects: Mapping[str, int]
    rules: tuple[Rule, ...]
    seconds: float
    not_validated: int = 0
    not_run: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.severity is Severity.ERROR)

    @property
    def passed(self) -> bool:
        return not self.errors


def as_text(report: Report) -> str:
    """For people: by file, the fix under each finding, and one line that sums up."""
    lines: list[str] = []
    for finding in report.findings:
        file = str(finding.location.path)
        if f"\n{file}" not in lines:
            lines.append(f"\n{file}")
        where = f" ({', '.join(finding.environments)})" if finding.environments else ""
        line = str(finding.location.line or "")
        who = f"{finding.object}: " if finding.object else ""
        lines.append(f"  {line:>4}  {finding.severity}  {finding.rule}{where}")
        lines += [f"        {text}" for text in f"{who}{finding.message}".splitlines()]
        lines.append(f"      → {finding.fix}")
    not_rendered = [
        each for each in report.suppressed if each.finding.rule == "render/not-rendered"
    ]
    if not_rendered:
        lines.append("\nnot rendered (exceptions.yaml has the reasons):")
        names = sorted({each.finding.object for each in not_rendered})
        lines += [f"  {name}" for name in names]
    lines += [f"\n! {each}" for each in report.not_run]
    lines += [f"\nnote: {each}" for each in report.notes]
    if report.not_validated:
        lines.append(
            f"\nAPI validation not run for {report.not_validated} objects: `make api-validator` "
            "builds the validator, once"
        )
    return "\n".join([*lines, "", summary(report)]).lstrip("\n")


def summary(report: Report) -> str:
    """The whole check in one line, without a word from the manifests."""
    outcome = amount(len(report.findings), "finding") if report.findings else "no findings"
    skipped = sum(each.finding.rule == "render/not-rendered" for each in report.suppressed)
    parts = [
        f"{'✓' if report.passed else '✗'} {outcome}",
        f"{amount(len(report.objects), 'environment')}, {sum(report.objects.values())} objects",
        f"{len(report.rules)} rules",
        f"{len(report.suppressed)} suppressed ({skipped} not rendered)",
        f"{len(report.unset)} values UNSET",
        *_not_validated(report),
        *([f"{len(report.not_run)} not run"] if report.not_run else []),
        f"{report.seconds:.2f} s",
    ]
    return " · ".join(parts)


def _not_validated(report: Report) -> list[str]:
    return ["API validation not run"] if report.not_validated else []


def as_json(report: Report) -> str:
    """For machines: everything, versioned."""
    return json.dumps(
        {
            "version": VERSION,
            "passed": report.passed,
            "seconds": round(report.seconds, 3),
            "environments": dict(report.objects),
            "rules": len(report.rules),
            "not_validated": report.not_validated,
            "not_run": list(report.not_run),
            "notes": list(report.notes),
            "findings": [_finding(each) for each in report.findings],
            "excused": [
                {
                    **_finding(each.finding),
                    "reason": each.reason,
                    "expires": each.expires.isoformat(),
                }
                for each in report.suppressed
            ],
            "unfilled": [
                {
                    "key": each.key,
                    "file": str(each.location.path),
                    "line": each.location.line,
                    "by": unset.by_command(each),
                }
                for each in report.unset
            ],
        },
        indent=2,
    )


def as_sarif(report: Report) -> str:
    """For code scanning: SARIF 2.1.0. Findings that an exception covers are suppressed results."""
    rules: list[dict[str, object]] = [
        {
            "id": rule.id,
            "shortDescription": {"text": rule.why},
            "help": {"text": rule.fix},
            "defaultConfiguration": {"level": _LEVELS[rule.severity]},
            "properties": {"tags": list(rule.references)},
        }
        for rule in report.rules
    ]
    results = [_sarif(each) for each in report.findings]
    for each in report.suppressed:
        suppression = {"kind": "external", "status": "accepted", "justification": each.reason}
        results.append({**_sarif(each.finding), "suppressions": [suppression]})
    return _sarif_log({"results": results}, rules)


def as_junit(report: Report) -> str:
    """For test reports: a case for each rule, which fails with its findings."""
    broken: dict[str, list[Finding]] = {}
    for finding in report.errors:
        broken.setdefault(finding.rule, []).append(finding)
    counts = {
        "name": "harness check",
        "tests": str(len(report.rules)),
        "failures": str(len(broken)),
    }
    suite = ET.Element("testsuite", {**counts, "time": f"{report.seconds:.3f}"})
    for rule in report.rules:
        family, _, name = rule.id.partition("/")
        case = ET.SubElement(suite, "testcase", {"classname": family, "name": name})
        failures = broken.get(rule.id)
        if failures:
            failure = ET.SubElement(case, "failure", {"message": failures[0].message})
            failure.text = "\n".join(f"{each.location}: {each.message}" for each in failures)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True)


def as_github(report: Report) -> str:
    """For a workflow's log: annotations at the lines of a pull request."""
    return "\n".join(
        f"::{_LEVELS[each.severity]} file={_property(str(each.location.path))},"
        f"line={each.location.line or 1},title={_property(each.rule)}::"
        f"{_data(f'{each.object}: {each.message}' if each.object else each.message)}"
        f"%0A→ {_data(each.fix)}"
        for each in report.findings
    )


def write(report: Report, folder: Path) -> None:
    """Leave the report as JSON, SARIF and JUnit in a folder."""
    files.write(folder / "report.json", as_json(report) + "\n")
    files.write(folder / "report.sarif", as_sarif(report) + "\n")
    files.write(folder / "junit.xml", as_junit(report) + "\n")


def as_error(error: HarnessError, form: str) -> str | None:
    """Why there is no report, in the form that was asked for; None for people, who read stderr."""
    message = f"{error.message} → {error.hint}" if error.hint else error.message
    at = error.at
    if form == "sarif":
        notification = {"level": "error", "message": {"text": message}}
        invocation = {
            "executionSuccessful": False,
            "exitCode": error.exit_code,
            "toolExecutionNotifications": [notification],
        }
        return _sarif_log({"invocations": [invocation], "results": []}, [])
    if form == "junit":
        suite = ET.Element("testsuite", {"name": "harness check", "tests": "1", "errors": "1"})
        case = ET.SubElement(suite, "testcase", {"classname": "check", "name": "evaluated"})
        ET.SubElement(case, "error", {"message": message})
        return ET.tostring(suite, encoding="unicode", xml_declaration=True)
    if form == "github":
        where = f"file={_property(str(at.path))},line={at.line or 1}" if at else ""
        return f"::error {where}::{_data(message)}"
    if form == "json":
        return json.dumps(
            {
                "version": VERSION,
                "passed": False,
                "error": error.message,
                "at": str(at) if at else None,
                "hint": error.hint,
                "exit": error.exit_code,
                "findings": [],
            },
            indent=2,
        )
    return None


def _sarif_log(run: Mapping[str, object], rules: list[dict[str, object]]) -> str:
    """A SARIF log of one run."""
    driver = {"name": "harness check", "version": str(VERSION), "rules": rules}
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", **run}],
        },
        indent=2,
    )


def explain(rule: Rule) -> str:
    """A rule for people."""
    references = f"\nreferences: {', '.join(rule.references)}" if rule.references else ""
    like = f"\nlike: {', '.join(rule.like)}" if rule.like else ""
    return f"{rule.id} ({rule.severity})\nwhy: {rule.why}\nfix: {rule.fix}{references}{like}"


def as_markdown(rules: Mapping[str, Rule]) -> str:
    """docs/rules.md."""
    families: dict[str, list[Rule]] = {}
    for rule in rules.values():
        families.setdefault(rule.id.partition("/")[0], []).append(rule)
    lines = [
        "# Rules of `harness check`",
        "",
        "Written by `harness generate`. Each rule looks at what was rendered and names the line in",
        "the source. `harness check --explain RULE` prints one; exceptions.yaml suppresses a",
        "finding, with a reason and a date. Like: what checks the same elsewhere (decision 8).",
    ]
    for family, members in families.items():
        lines += ["", f"## {family}", "", "| rule | why | fix | references | like |"]
        lines.append("|---|---|---|---|---|")
        for rule in members:
            lists = (", ".join(rule.references), ", ".join(rule.like))
            cells = (f"`{rule.id}`", rule.why, rule.fix, *lists)
            lines.append(f"| {' | '.join(_cell(each) for each in cells)} |")
    return "\n".join(lines) + "\n"


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "message": finding.message,
        "file": str(finding.location.path),
        "line": finding.location.line,
        "object": finding.object,
        "environments": list(finding.environments),
        "fix": finding.fix,
        **finding.repair.row,
    }


def _sarif(finding: Finding) -> dict[str, object]:
    physical = {
        "artifactLocation": {"uri": str(finding.location.path), "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": finding.location.line or 1},
    }
    who = f"{finding.object}: " if finding.object else ""
    return {
        "ruleId": finding.rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{who}{finding.message}\n{finding.fix}"},
        "locations": [{"physicalLocation": physical}],
        **({"fixes": [_sarif_fix(finding)]} if finding.replacements else {}),
    }


def _sarif_fix(finding: Finding) -> dict[str, object]:
    """The lines that a fix changes, as SARIF 2.1.0 has them (3.55)."""
    by_file: dict[str, list[dict[str, object]]] = {}
    for each in finding.replacements:
        region = {"startLine": each.start, "startColumn": 1, "endLine": each.end, "endColumn": 1}
        replacement = {"deletedRegion": region, "insertedContent": {"text": each.text}}
        by_file.setdefault(str(each.file), []).append(replacement)
    changes = [
        {
            "artifactLocation": {"uri": file, "uriBaseId": "%SRCROOT%"},
            "replacements": replacements,
        }
        for file, replacements in by_file.items()
    ]
    return {"description": {"text": finding.fix}, "artifactChanges": changes}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
