"""Moves a pointer: the gates' verdict, and the one commit that it allows.

The commit lies on the branch ``promote/<env>`` on top of main, ready for a pull request. It sets
``ref.commit`` of ``clusters/<env>/release.yaml``, adds the evidence, and changes nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.attestation import pointer, signature
from harness.attestation.pointer import SIGNATURE
from harness.attestation.record import Evidence, Gate, Proven, Source
from harness.core.errors import UsageError
from harness.core.git import Git
from harness.core.repository import Repository
from harness.promotion import evidence, history, judge, message
from harness.promotion.branch import Branch
from harness.promotion.case import Case
from harness.render.renderer import Renderer, pinned_commit
from harness.settings import site


@dataclass(frozen=True, slots=True)
class Promotion:
    """What became of it.

    Attributes:
        evidence: with every gate and what it found.
        branch: the branch's name.
        made: the commit on it; None where a gate was not passed.
        changed: whether it was made now, and did not wait there already.
    """

    evidence: Evidence
    branch: str
    made: str | None
    changed: bool

    @property
    def refused(self) -> list[Gate]:
        """The gates that were not passed."""
        return [gate for gate in self.evidence.gates if not gate.passed]


def promote(
    repository: Repository, case: Case, branch: Branch, key: Path | None, *, replace: bool = False
) -> Promotion:
    """Judge a case, and commit where every gate is passed.

    Args:
        repository: the checkout.
        case: what was found.
        branch: where the commit goes.
        key: signs the evidence.
        replace: a promotion of another commit that waits on the branch is given up.

    Raises:
        UsageError: a signature is asked for and there is no key.
        InputError: another promotion is under way.
    """
    renderer = Renderer(repository)
    told = _evidence(case, pinned_commit(renderer.tree, case.target))
    if not all(gate.passed for gate in told.gates):
        return Promotion(told, branch.name, None, changed=False)
    if case.gates.signed_reports and key is None:
        raise UsageError("evidence has to be signed: whose key?", hint="--key FILE")
    waiting = branch.tip(case.commit, replace=replace)
    if waiting and _says_the_same(branch.upstream.git, waiting, told, branch.upstream.main):
        return Promotion(told, branch.name, waiting, changed=False)
    text = told.as_text()
    path = pointer.evidence(case.target, case.commit)
    changes = {**moved(repository, case.target, case.commit), path: text}
    if key:
        changes[path + SIGNATURE] = signature.sign(text, key, signature.RELEASE)
    before = history.pinned(repository, case.target)
    body = message.promotion(
        branch.upstream.git,
        told,
        before[0].evidence if before else None,
        renderer.live(case.target),
        renderer.pinning(case.target, case.commit),
    )
    return Promotion(told, branch.name, branch.commit(changes, body), changed=True)


def moved(repository: Repository, env: str, commit: str) -> dict[str, str]:
    """The change that points an environment at a commit."""
    path = pointer.path(env)
    file = repository.root / path
    return {path: site.replace(file.read_text(), file, pointer.PINNED, commit)}


def _evidence(case: Case, replaces: str | None) -> Evidence:
    return Evidence(
        environment=case.target,
        commit=case.commit,
        digest=case.candidate.digest,
        replaces=replaces,
        decided=case.now.isoformat("T", "seconds"),
        source=Source(
            environment=case.source,
            commit=case.running.commit,
            digest=case.digest,
            ready_since=case.running.steady_since.isoformat("T", "seconds"),
            unchanged_since=case.running.since.isoformat("T", "seconds"),
        ),
        gates=tuple(judge.evaluate(case)),
        reports=tuple(_proven(case)),
        accepted=tuple(sorted(case.wish.accept)),
        override=case.wish.override,
    )


def _proven(case: Case) -> Iterator[Proven]:
    for kind in case.kept:
        if proof := case.newest(kind):
            yield Proven(
                kind=proof.kind,
                name=proof.name,
                sha256=proof.sha256,
                signed_by=judge.signed_by(case, proof),
                started=proof.report.started,
                figures=tuple(evidence.figures(proof.load)) if proof.load else (),
            )


def _says_the_same(git: Git, tip: str, told: Evidence, main: str) -> bool:
    """Whether a waiting commit is of this main and rests on the same reports."""
    there = git.read(tip, pointer.evidence(told.environment, told.commit))
    if there is None or git.resolve(f"{tip}^") != main:
        return False
    try:
        before = Evidence.model_validate_json(there)
    except ValidationError:
        return False
    # The hour, and hours that went by, are no news.
    fresh = {"decided": before.decided, "gates": before.gates}
    return before == told.model_copy(update=fresh)
