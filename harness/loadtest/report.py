"""What a load test leaves behind. ``docs/report.md`` describes every key; the schema's version
grows when one is removed or changes its meaning.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from harness.core import files
from harness.core.errors import InputError
from harness.core.refusal import first_refusal
from harness.loadtest.outcome import Check, Objective, SlowRequest
from harness.loadtest.scrape import Server, Unread
from harness.loadtest.target import Release
from harness.models.samples import Origin

Verdict = Literal["pass", "fail", "invalid"]


class Latency(BaseModel):
    """Milliseconds; None without values, or if more failed than the percentile leaves room for."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p99_9: float | None
    max: float | None


class Part(BaseModel):
    """One name of the mix, or one stage, or all judged stages together."""

    offered_rps: float
    achieved_rps: float
    requests: int
    failures: int
    wrong_answers: int
    dropped: int
    other_answers: int = 0
    latency_ms: Latency
    first_byte_ms: Latency | None = None
    service_ms: Latency


class NamedPart(Part):
    """A name of the mix over the judged stages; histograms are in HDR's own encoding, in µs.
    ``answers`` says who knows the right ones, ``group`` which serving group got the requests.
    """

    name: str
    model: str | None
    group: str | None = None
    histogram: str
    first_byte_histogram: str | None = None
    answers: list[Origin] = []


class StagePart(Part):
    """A stage of the profile, judged or not."""

    kind: str
    start: float
    seconds: float
    judged: bool


class BinPart(BaseModel):
    """A name over one stretch of the time axis; see ``recording.Bin``."""

    due: int
    answered: int
    failures: int
    dropped: int
    p50: float | None
    p99: float | None
    max: float | None
    histogram: str | None


class Moment(BaseModel):
    """A stretch of the time axis that begins ``t`` seconds into the schedule."""

    t: float
    judged: bool
    names: dict[str, BinPart]


class Failures(BaseModel):
    """Failures of one kind, warm-up included, the first of them, and what to do about them.

    Where ``expected``, they are none: the profile expects this status too.
    """

    name: str
    kind: str
    wrong_answer: bool
    count: int
    example: str
    expected: bool = False
    advice: str = ""


class TargetPart(BaseModel):
    """Where the load went; ``servers`` are the addresses of groups that have one each."""

    url: str
    servers: dict[str, str] = {}
    host: str | None
    protocol: str
    gateway: str | None
    verified: bool = True


class ProfilePart(BaseModel):
    """The profile as it was read."""

    path: str | None
    sha256: str
    content: dict[str, Any]


class ChecksPart(BaseModel):
    """Responses that differed from those checked before, warm-up included.

    Attributes:
        inside: checked by the process that sent the request.
        outside: checked elsewhere, since their check takes more than a millisecond.
        unchecked: of those, how many were not: only the status is known to be correct.
    """

    inside: int
    outside: int
    unchecked: int

    @property
    def share_outside(self) -> float:
        """The share of the checks that were made outside."""
        return self.outside / max(1, self.inside + self.outside)


class GeneratorPart(BaseModel):
    """Who sent: processes, the busiest one's fraction of a core, versions, and the machine."""

    processes: int
    cpu_max: float
    in_flight_max: int
    machine: str
    versions: dict[str, str]
    checks: ChecksPart | None = None


class Confidence(BaseModel):
    """Whether every percentile that was claimed had requests enough behind it."""

    level: float
    sufficient: bool
    steady: bool


@dataclass(frozen=True, slots=True)
class Setup:
    """When and where it ran, what the server reported of itself, and who sent."""

    started: str
    target: TargetPart
    embedded: bool
    profile: ProfilePart
    release: Release | None
    server: Server | None
    unread: list[Unread]
    generator: GeneratorPart


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured: ``total`` and ``lateness_ms`` of the judged stages, the rest of all."""

    seconds: float
    judged_seconds: float
    total: Part
    lateness_ms: Latency
    mix: list[NamedPart]
    stages: list[StagePart]
    failure_groups: list[Failures]
    slowest: list[SlowRequest]
    bin_seconds: float
    timeline: list[Moment]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What follows from it: the verdict and its reasons, and everything that decided it."""

    verdict: Verdict
    reasons: list[str]
    slo: list[Objective]
    checks: list[Check]
    confidence: Confidence


class Report(BaseModel):
    """A whole report; the figures of the top level are those of the judged stages."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    verdict: Verdict
    reasons: list[str]
    started: str
    seconds: float
    judged_seconds: float
    target: TargetPart
    embedded: bool
    profile: ProfilePart
    release: Release | None
    offered_rps: float
    achieved_rps: float
    requests: int
    failures: int
    wrong_answers: int
    dropped: int
    other_answers: int = 0
    latency_ms: Latency
    first_byte_ms: Latency | None = None
    service_ms: Latency
    lateness_ms: Latency
    slo: list[Objective]
    confidence: Confidence
    checks: list[Check]
    mix: list[NamedPart]
    stages: list[StagePart]
    failure_groups: list[Failures]
    slowest: list[SlowRequest] = []
    server: Server | None
    unread: list[Unread] = []
    generator: GeneratorPart
    bin_seconds: float
    timeline: list[Moment]

    @classmethod
    def of(cls, setup: Setup, measured: Measured, evaluated: Evaluated) -> Self:
        """The report of a run."""
        total = measured.total
        return cls(
            verdict=evaluated.verdict,
            reasons=evaluated.reasons,
            started=setup.started,
            seconds=measured.seconds,
            judged_seconds=measured.judged_seconds,
            target=setup.target,
            embedded=setup.embedded,
            profile=setup.profile,
            release=setup.release,
            offered_rps=total.offered_rps,
            achieved_rps=total.achieved_rps,
            requests=total.requests,
            failures=total.failures,
            wrong_answers=total.wrong_answers,
            dropped=total.dropped,
            other_answers=total.other_answers,
            latency_ms=total.latency_ms,
            first_byte_ms=total.first_byte_ms,
            service_ms=total.service_ms,
            lateness_ms=measured.lateness_ms,
            slo=evaluated.slo,
            confidence=evaluated.confidence,
            checks=evaluated.checks,
            mix=measured.mix,
            stages=measured.stages,
            failure_groups=measured.failure_groups,
            slowest=measured.slowest,
            server=setup.server,
            unread=setup.unread,
            generator=setup.generator,
            bin_seconds=measured.bin_seconds,
            timeline=measured.timeline,
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a report.json.

        Raises:
            InputError: it is not a report, or of another schema version.
        """
        text = b""
        try:
            return cls.model_validate_json(text := path.read_bytes())
        except (OSError, ValueError) as error:
            first = first_refusal(error, text, cls)
            raise InputError(f"not a report of version 1: {first}", at=path) from error


def decide(slos: Sequence[Objective], checks: Sequence[Check]) -> tuple[Verdict, list[str]]:
    """The verdict, and its reasons."""
    missed = [_missed_objective(slo) for slo in slos if not slo.met]
    failed = [check for check in checks if not check.passed]
    if any(check.spoils for check in failed) or (failed and not missed):
        reasons = [f"{each.name}: {each.found} ({each.limit}); {each.why}" for each in failed]
        return "invalid", reasons
    return ("fail", missed) if missed else ("pass", [])


def _missed_objective(slo: Objective) -> str:
    observed = "no response" if slo.observed is None else quantity(slo.observed, slo.unit)
    sign = "≥" if slo.metric == "throughput" else "≤"
    metric = slo.metric.replace("_", " ")
    return f"{metric} of {slo.of or 'all'}: {observed} ({sign} {quantity(slo.limit, slo.unit)})"


def quantity(value: float, unit: str) -> str:
    """A value with its unit, as people read it."""
    if unit == "share":
        return f"{value:.3%}" if 0 < value < 0.001 else f"{value:.1%}"
    if unit == "requests":
        return f"{value:,.0f}"
    return f"{value:,.1f} {unit}" if abs(value) < 1000 else f"{value:,.0f} {unit}"


def remarks(report: Report) -> list[str]:
    """What a reader of the figures has to know about the servers."""
    about = []
    if len(serving := groups(report)) > 1:
        names = (f"{group} ({', '.join(of)})" for group, of in serving.items())
        about.append(f"{len(serving)} groups: {', '.join(names)}")
    if report.server and report.server.pinned_java_libraries == 0:
        about.append("TorchServe ran the Java libraries in its own JAR, not those of jars.lock")
    about += _memory_of_soak(report)
    if recorded := [part.name for part in report.mix if "recorded" in part.answers]:
        about.append(f"the expected answers of {', '.join(recorded)} were recorded from a server")
    if unknown := [part.name for part in report.mix if "status" in part.answers]:
        about.append(f"checked only the status of {', '.join(unknown)}; add `contains` for more")
    if not report.target.verified:
        about.append("the server's certificate was not verified (insecure: true)")
    checks = report.generator.checks
    if checks and checks.outside:
        about.append(f"{checks.share_outside:.0%} of the checks ran outside the sending processes")
    if checks and checks.unchecked:
        about.append(f"{checks.unchecked:,} responses are correct by their status alone")
    return about


def _memory_of_soak(report: Report) -> Iterator[str]:
    """What each model's workers held as a soak began and as it ended: leaks show there."""
    for stage in report.stages:
        if stage.kind != "soak" or report.server is None:
            continue
        during = [
            point
            for point in report.server.timeline
            if stage.start <= point.t <= stage.start + stage.seconds
        ]
        for model in sorted({name for point in during for name in point.models}):
            points = [point.models[model] for point in during if model in point.models]
            known = [memory for p in points if (memory := p.worker_memory) is not None]
            if len(known) > 1:
                change = f"{known[0]:,.0f} MiB at the soak's beginning, {known[-1]:,.0f} at its end"
                yield f"workers of {model} held {change}"


def groups(report: Report) -> dict[str, list[str]]:
    """The names of the mix by the serving group that got their requests."""
    names: dict[str, list[str]] = {}
    for part in report.mix:
        if part.group:
            names.setdefault(part.group, []).append(part.name)
    return dict(sorted(names.items()))


def junit(report: Report) -> str:
    """Each SLO and each check as a test case; an invalid run is an error, not a failure."""
    suite = ElementTree.Element("testsuite", name="loadtest", time=f"{report.seconds:.1f}")
    for check in report.checks:
        case = ElementTree.SubElement(suite, "testcase", classname="run", name=check.name)
        if not check.passed:
            text = f"{check.found} ({check.limit}): {check.why}"
            ElementTree.SubElement(case, "error", message=text)
    for slo in report.slo:
        name = f"{slo.of or 'all'}: {slo.metric} {quantity(slo.limit, slo.unit)}"
        case = ElementTree.SubElement(suite, "testcase", classname="slo", name=name)
        if not slo.met:
            ElementTree.SubElement(case, "failure", message=_missed_objective(slo))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("*/failure"))))
    suite.set("errors", str(len(suite.findall("*/error"))))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def write(report: Report, folder: Path, html: str) -> None:
    """Write report.json, report.html and report.junit.xml, each atomically."""
    files.write(folder / "report.json", report.model_dump_json(indent=1) + "\n")
    files.write(folder / "report.junit.xml", junit(report))
    files.write(folder / "report.html", html)
