"""What an environment ran when, with which figures.

Of one that pins its release, Git tells: each move of the pointer, and the evidence beside it. Of
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
from harness.promotion import evidence, evidence_store, history
from harness.promotion.evidence_store import EvidenceStore
from harness.render import digest
from harness.render.renderer import Renderer

_APPLIED = ("apps", "clusters/{}", "infra", "models")


@dataclass(frozen=True, slots=True)
class Ran:
    """One release.

    Attributes:
        commit: that ran.
        at: since when.
        by: who brought it, and ``why`` in a line.
        digest: of the release; empty where it cannot be rendered.
        verdict: of its newest load test; empty where there is none.
        signed_by: who signed what is known of it; None where nobody did.
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


def of(repository: Repository, env: str, store: EvidenceStore | None, last: int) -> list[Ran]:
    """The last releases of an environment, the newest first.

    Args:
        repository: the checkout.
        env: the environment.
        store: where its reports are; None where they cannot be read.
        last: how many.
    """
    moves = history.pinned(repository, env)
    if moves:
        return [_pinned(move) for move in moves[:last]]
    found = _followed(repository, env, last)
    return [_tested(ran, env, store) if store and ran.digest else ran for ran in found]


def _pinned(move: history.Pinned) -> Ran:
    known = move.evidence
    figures = tuple(each for report in known.reports for each in report.figures) if known else ()
    return Ran(
        commit=move.commit,
        at=move.at,
        by=move.by,
        why=move.why,
        digest=known.digest if known else "",
        verdict="pass" if known else "",
        signed_by=move.signed_by,
        figures=figures,
    )


def _followed(repository: Repository, env: str, last: int) -> list[Ran]:
    """The commits of main that changed what the environment runs."""
    renderer = Renderer(repository)
    paths = [path.format(env) for path in _APPLIED]
    found: list[Ran] = []
    for entry in Git(repository.root).log("--first-parent", "--", *paths):
        named = _digest(renderer, env, entry.commit)
        if found and named and found[-1].digest == named:
            found.pop()  # it changed words only: the release is as old as this one
        if len(found) == last:
            break
        found.append(Ran(entry.commit, entry.at, entry.by, entry.subject, named))
    return found


def _tested(ran: Ran, env: str, store: EvidenceStore) -> Ran:
    for proof in evidence_store.of(store, env, ran.digest, "loadtest").proofs[:1]:
        assert proof.load is not None  # noqa: S101  of this kind
        figures = tuple(evidence.figures(proof.load))
        return dataclasses.replace(ran, verdict=proof.load.verdict, figures=figures)
    return ran


def _digest(renderer: Renderer, env: str, commit: str) -> str:
    try:
        return digest.release_digest(renderer.at(env, commit))
    except HarnessError:
        return ""
