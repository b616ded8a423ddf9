"""Reports of load tests and smoke tests, as they lie in the evidence store.

A report is kept under the release digest that it is about, named by its own content, with its
signatures next to it, each named by its key's fingerprint (SHA-256):

    <env>/<release digest>/<kind>-<when>-<sha256:12>.json
    <env>/<release digest>/<kind>-<when>-<sha256:12>.json.<fingerprint:16>.sig

in the environment's bucket under ``evidence/``, or in a folder. Before signatures were named by
their keys there was one, ``….json.sig``; it is read forever.
"""

import datetime
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from harness.attestation.pointer import SIGNATURE
from harness.attestation.record import Figures, Kind
from harness.attestation.signature import fingerprint
from harness.core.errors import InputError
from harness.core.refusal import first_refusal
from harness.loadtest.report import Part, Report
from harness.smoke.report import Report as SmokeReport


@dataclass(frozen=True, slots=True)
class Proof:
    """A report as it lies in the evidence store.

    Attributes:
        name: its name in the store.
        text: the report, byte for byte.
        signatures: over it; any of them may be of a key that counts.
        started: by the tester's clock, ``ended`` likewise.
        load: the report of a load test; exactly one of this and ``smoke`` is set.
        smoke: the report of a smoke test.
    """

    name: str
    text: str
    signatures: tuple[str, ...]
    started: datetime.datetime
    ended: datetime.datetime
    load: Report | None = None
    smoke: SmokeReport | None = None

    @property
    def report(self) -> Report | SmokeReport:
        """The one of the two that is set."""
        report = self.load or self.smoke
        assert report is not None  # noqa: S101  read() sets one of them
        return report

    @property
    def kind(self) -> Kind:
        return "loadtest" if self.load else "smoke"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def is_rehearsal(self) -> bool:
        """Whether no real pods were tested, but an embedded server or pods that kwok plays."""
        return self.report.embedded or (self.smoke is not None and self.smoke.simulated)

    @property
    def digest(self) -> str | None:
        """The release digest that it is about, or None if it names none."""
        return self.report.release.digest if self.report.release else None

    @property
    def commit(self) -> str:
        """The commit that ran, or "" if it names none."""
        return self.report.release.commit if self.report.release else ""


def read(text: str, name: str, signatures: Iterable[str] = ()) -> Proof:
    """Read a report of either kind.

    Raises:
        InputError: it is neither, or has no valid start time.
    """
    kind: type[SmokeReport | Report] = Report
    try:
        if "tests" in json.loads(text):
            kind = SmokeReport
        report = kind.model_validate_json(text)
        started = _moment(report.started)
        ended = started + datetime.timedelta(seconds=report.seconds)
    except (ValidationError, ValueError, TypeError, OverflowError, RecursionError) as error:
        first = first_refusal(error, text, kind)
        raise InputError(
            f"{name} is not a report of a load test or a smoke test: {first}"
        ) from error
    load = report if isinstance(report, Report) else None
    smoke = report if isinstance(report, SmokeReport) else None
    return Proof(name, text, tuple(signatures), started, ended, load, smoke)


def _moment(text: str) -> datetime.datetime:
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.astimezone(datetime.UTC)


def signature_name(name: str, signature: str) -> str:
    """Where a signature of the report ``name`` belongs: named by its key, so that none
    takes another's name.

    Raises:
        InputError: it is not a signature.
    """
    return f"{name}.{fingerprint(signature)[:16]}{SIGNATURE}"


def file_name(env: str, proof: Proof) -> str:
    """Where a report belongs in the evidence store.

    Raises:
        InputError: it names no release digest, so it proves no release.
    """
    if not proof.digest:
        raise InputError(
            f"{proof.name} names no release digest: it proves no release",
            hint="test a cluster that Flux reconciles, from a clone that has its commit",
        )
    when = proof.started.strftime("%Y%m%dT%H%M%SZ")
    return f"{env}/{proof.digest}/{proof.kind}-{when}-{proof.sha256[:12]}.json"


def figures(report: Report) -> Iterator[Figures]:
    """What a report measured: each model, and all of them together."""
    yield _figures("all", None, report)
    for part in report.mix:
        yield _figures(part.name, part.group, part)


def _figures(name: str, group: str | None, part: Report | Part) -> Figures:
    return Figures(
        name=name,
        group=group,
        p50=part.latency_ms.p50,
        p95=part.latency_ms.p95,
        p99=part.latency_ms.p99,
        rate=part.achieved_rps,
        failures=part.failures,
    )
