"""What an environment ran when, with which figures.

Of one that pins its release, Git has each move of the pointer, and the evidence next to it. Of
one that follows main, the commits that changed what it applies, each with the newest load test
that the evidence store has of its release.
"""

import dataclasses
import datetime
from dataclasses import dataclass, field

from harness.attestation.record import Figures
from harness.core.errors import HarnessError
from harness.core.git import Git
from harness.core.repository import Repository
from harness.promotion import evidence_store, history, report_file
from harness.promotion.evidence_store import EvidenceStore
from harness.render import digest
from harness.render.renderer import Renderer

_APPLIED = ("apps", "clusters/{}", "infra", "models")


@dataclass(frozen=True, slots=True)
class Record:
    """One release.

    Attributes:
        commit: that ran.
        at: since when.
        by: who brought it, and ``why`` in a line.
        digest: of the release, or "" if it cannot be rendered.
        verdict: of its newest load test, or "" if there is none.
        signed_by: who signed its evidence, or None if nobody did.
        figures: of that load test.
    """

    commit: str
    at: datetime.datetime
    by: str
    why: str
    digest: str
    verdict: str = ""
    signed_by: str | None = None
    figures: tuple[Figures, ...] = field(default=())

    @property
    def since(self) -> str:
        """``at`` to the minute, for people."""
        return f"{self.at.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"

    @property
    def p95(self) -> float | None:
        """Milliseconds, over all that was sent."""
        return next((each.p95 for each in self.figures if each.name == "all"), None)


def recent(
    repository: Repository, env: str, store: EvidenceStore | None, last: int
) -> list[Record]:
    """The last releases of an environment, the newest first.

    Args:
        repository: the checkout.
        env: the environment.
        store: where its reports are, or None if they cannot be read.
        last: how many.
    """
    pins = history.pins(repository, env)
    if pins:
        return [_from_pin(pin) for pin in pins[:last]]
    records = _from_main(repository, env, last)
    return [_with_figures(each, env, store) if store and each.digest else each for each in records]


def _from_pin(pin: history.Pin) -> Record:
    evidence = pin.evidence
    reports = evidence.reports if evidence else ()
    return Record(
        commit=pin.commit,
        at=pin.at,
        by=pin.by,
        why=pin.why,
        digest=evidence.digest if evidence else "",
        verdict="pass" if evidence else "",
        signed_by=pin.signed_by,
        figures=tuple(each for report in reports for each in report.figures),
    )


def _from_main(repository: Repository, env: str, last: int) -> list[Record]:
    """The commits of main that changed what the environment runs."""
    renderer = Renderer(repository)
    paths = [path.format(env) for path in _APPLIED]
    records: list[Record] = []
    for entry in Git(repository.root).log("--first-parent", "--", *paths):
        release = _digest(renderer, env, entry.commit)
        if records and release and records[-1].digest == release:
            records.pop()  # the same release: it is as old as this commit
        if len(records) == last:
            break
        records.append(Record(entry.commit, entry.at, entry.by, entry.subject, release))
    return records


def _with_figures(record: Record, env: str, store: EvidenceStore) -> Record:
    for proof in evidence_store.of(store, env, record.digest, "loadtest").proofs[:1]:
        assert proof.load is not None  # noqa: S101  of this kind
        figures = tuple(report_file.figures(proof.load))
        return dataclasses.replace(record, verdict=proof.load.verdict, figures=figures)
    return record


def _digest(renderer: Renderer, env: str, commit: str) -> str:
    try:
        return digest.release_digest(renderer.at(env, commit))
    except HarnessError:
        return ""
