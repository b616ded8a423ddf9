"""The report of a smoke test: report.json, report.junit.xml, and the summary.

The keys of report.json are a public interface: see docs/smoke.md.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from pydantic import BaseModel, ConfigDict

from harness.core import files
from harness.loadtest.target import Release

Outcome = Literal["passed", "failed", "not applicable"]
Verdict = Literal["pass", "fail", "invalid"]

EXIT_CODE: dict[Verdict, int] = {"pass": 0, "fail": 1, "invalid": 3}
_SIGNS: dict[Outcome, str] = {"passed": "✓", "failed": "✗", "not applicable": "–"}


class Result(BaseModel):
    """How one check ended.

    Attributes:
        why: why it failed or does not apply; of a check that passed, what is worth knowing.
        next: the command to type where it failed.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    outcome: Outcome
    seconds: float
    why: str = ""
    next: str = ""


class Report(BaseModel):
    """The whole report.

    Attributes:
        started: when, in UTC and ISO 8601.
        target: the context of a cluster, or ``embedded``.
        simulated: its nodes and pods are kwok's: no container runs there.
        release: what runs there according to Flux; None for the embedded server.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    environment: str
    started: str
    seconds: float
    verdict: Verdict
    target: str
    embedded: bool
    simulated: bool = False
    release: Release | None
    tests: list[Result]

    def count(self, outcome: Outcome) -> int:
        """How many checks ended so."""
        return sum(result.outcome == outcome for result in self.tests)


def verdict(results: Sequence[Result]) -> Verdict:
    """``invalid`` where nothing was judged: what does not apply proves nothing."""
    outcomes = {result.outcome for result in results}
    if "failed" in outcomes:
        return "fail"
    return "pass" if "passed" in outcomes else "invalid"


def write(report: Report, folder: Path) -> None:
    """Leave report.json and report.junit.xml in a folder, each written whole."""
    files.write(folder / "report.json", report.model_dump_json(indent=2) + "\n")
    files.write(folder / "report.junit.xml", junit(report))


def junit(report: Report) -> str:
    """Each check as a test case; what does not apply is skipped, with the reason."""
    suite = ElementTree.Element(
        "testsuite", name=f"smoke of {report.environment}", time=f"{report.seconds:.1f}"
    )
    for result in report.tests:
        attributes = {"classname": "smoke", "name": result.name, "time": f"{result.seconds:.3f}"}
        case = ElementTree.SubElement(suite, "testcase", attributes)
        if result.outcome == "failed":
            failure = ElementTree.SubElement(case, "failure", message=result.why)
            failure.text = f"{result.why}\n→ {result.next}"
        elif result.outcome == "not applicable":
            ElementTree.SubElement(case, "skipped", message=result.why)
    suite.set("tests", str(len(report.tests)))
    suite.set("failures", str(report.count("failed")))
    suite.set("skipped", str(report.count("not applicable")))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def text(report: Report, folder: Path) -> str:
    """The one screen: the verdict, each check, and under each that failed what to type next."""
    lines = [f"verdict: {report.verdict}", ""]
    for result in report.tests:
        reason = f": {result.why}" if result.why and result.outcome != "failed" else ""
        lines.append(f"  {_SIGNS[result.outcome]} {result.name}{reason}")
        if result.outcome == "failed":
            lines += [f"      {line}" for line in result.why.splitlines()]
            lines += [f"    → {result.next}"] if result.next else []
    counts: tuple[Outcome, ...] = ("passed", "failed", "not applicable")
    counted = ", ".join(f"{report.count(outcome)} {outcome}" for outcome in counts)
    runs = f", release {report.release.commit[:12]}" if report.release else ""
    lines += [
        "",
        f"  {report.environment} on {report.target}{runs}: {counted} in {report.seconds:.1f} s",
        f"  {folder / 'report.json'}",
    ]
    return "\n".join(lines)
