"""Reports that count, and what stands beside a moved pointer.

A report is kept under the release digest that it is about, named by its own content, with its
signature beside it:

    <env>/<release digest>/<kind>-<when>-<sha256:12>.json
    <env>/<release digest>/<kind>-<when>-<sha256:12>.json.sig

in the environment's bucket under ``evidence/``, or in a folder. ``Evidence`` is the one file that
a promotion adds to Git, ``clusters/<env>/evidence/<commit>.json``; ``docs/promotion.md`` describes
its keys, which are a public interface.
"""

import datetime
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.core.errors import InputError
from harness.loadtest.report import Report
from harness.smoke.report import Report as SmokeReport

Kind = Literal["loadtest", "smoke"]
SIGNATURE = ".sig"


@dataclass(frozen=True, slots=True)
class Proof:
    """A report as it lies in the evidence store.

    Attributes:
        name: where it lies.
        text: the report, byte for byte.
        signature: over it; None where it has none.
        load: the report of a load test; exactly one of this and ``smoke`` is there.
        smoke: the report of a smoke test.
    """

    name: str
    text: str
    signature: str | None
    load: Report | None = None
    smoke: SmokeReport | None = None

    @property
    def report(self) -> Report | SmokeReport:
        """Whichever it is."""
        found = self.load or self.smoke
        assert found is not None  # noqa: S101  read() makes no other
        return found

    @property
    def kind(self) -> Kind:
        return "loadtest" if self.load else "smoke"

    @property
    def started(self) -> datetime.datetime:
        return datetime.datetime.fromisoformat(self.report.started)

    @property
    def ended(self) -> datetime.datetime:
        return self.started + datetime.timedelta(seconds=self.report.seconds)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def rehearsed(self) -> bool:
        """Whether no cluster's pods were tested: a server of this machine was, or kwok's word."""
        return self.report.embedded or (self.smoke is not None and self.smoke.simulated)

    @property
    def digest(self) -> str | None:
        """The release digest that it is about; None where it says none."""
        return self.report.release.digest if self.report.release else None

    @property
    def commit(self) -> str:
        """The commit that ran; empty where it says none."""
        return self.report.release.commit if self.report.release else ""


def read(text: str, name: str, signature: str | None = None) -> Proof:
    """Read a report of either kind.

    Raises:
        InputError: it is neither.
    """
    try:
        is_smoke = "tests" in json.loads(text)
        if is_smoke:
            return Proof(name, text, signature, smoke=SmokeReport.model_validate_json(text))
        return Proof(name, text, signature, load=Report.model_validate_json(text))
    except (ValidationError, ValueError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{name} is no report of a load test or a smoke test: {first}") from error


def file_name(env: str, proof: Proof) -> str:
    """Where a report belongs in the evidence store.

    Raises:
        InputError: it names no release digest, so it proves nothing of any release.
    """
    if not proof.digest:
        raise InputError(
            f"{proof.name} names no release digest: nobody can tell what it proves",
            hint="run it against a cluster that Flux keeps, in a checkout that has its commit",
        )
    when = proof.started.astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{env}/{proof.digest}/{proof.kind}-{when}-{proof.sha256[:12]}.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Gate(_Record):
    """A condition of a promotion, and what was found.

    Attributes:
        found: in words; the reason, where it was not passed.
        hint: what to do about it; empty where it was passed.
    """

    name: str
    passed: bool
    found: str
    hint: str = ""


class Source(_Record):
    """Where the release was proven: the environment, its commit and release digest, since when."""

    environment: str
    commit: str
    digest: str
    ready_since: str


class Figures(_Record):
    """What a load test measured of one name of its mix; milliseconds, requests per second."""

    name: str
    p50: float | None
    p95: float | None
    p99: float | None
    rate: float
    failures: int


class Proven(_Record):
    """A report that was counted: where it lies, its SHA-256, who signed it."""

    kind: Kind
    name: str
    sha256: str
    signed_by: str | None
    started: str
    figures: tuple[Figures, ...] = ()


class Evidence(_Record):
    """Why a pointer might move.

    Attributes:
        digest: of what the environment runs with this commit.
        replaces: the commit that it pinned before; None the first time.
        decided: when, by the clock of the source's API server.
        accepted: the dangers that somebody accepted by name.
        override: why a freeze was overridden; empty where none was.
    """

    schema_version: Literal[1] = 1
    environment: str
    commit: str
    digest: str
    replaces: str | None
    decided: str
    source: Source
    gates: tuple[Gate, ...]
    reports: tuple[Proven, ...]
    accepted: tuple[str, ...] = ()
    override: str = ""

    def as_text(self) -> str:
        """The file's text."""
        return self.model_dump_json(indent=2) + "\n"


def path(env: str, commit: str) -> str:
    """Where the evidence of a release stands in Git."""
    return f"clusters/{env}/evidence/{commit}.json"


def figures(report: Report) -> Iterator[Figures]:
    """What a report measured, each model and all of them together."""
    parts = [("all", report.latency_ms, report.achieved_rps, report.failures)]
    parts += [(each.name, each.latency_ms, each.achieved_rps, each.failures) for each in report.mix]
    for name, latency, rate, failures in parts:
        yield Figures(
            name=name,
            p50=latency.p50,
            p95=latency.p95,
            p99=latency.p99,
            rate=rate,
            failures=failures,
        )
