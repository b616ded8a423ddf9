"""Moves a pointer: the gates' result, and the one commit that it allows.

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
from harness.promotion import commit_message, evaluation, history, report_file
from harness.promotion.branch import Branch
from harness.promotion.gate_inputs import GateInputs
from harness.settings import site


@dataclass(frozen=True, slots=True)
class Promotion:
    """The result of a promotion.

    Attributes:
        evidence: with every gate and what it found.
        branch: the branch's name.
        commit: the one on it, or None if a gate was not passed.
        changed: whether it is new; a commit that waits there already is left alone.
    """

    evidence: Evidence
    branch: str
    commit: str | None
    changed: bool

    @property
    def failed_gates(self) -> list[Gate]:
        """The gates that were not passed."""
        return [gate for gate in self.evidence.gates if not gate.passed]


def promote(
    repository: Repository,
    inputs: GateInputs,
    branch: Branch,
    key: Path | None,
    *,
    replace: bool = False,
) -> Promotion:
    """Evaluate the gates, and commit if every one is passed.

    Args:
        repository: the clone.
        inputs: what the gates are evaluated on.
        branch: where the commit goes.
        key: signs the evidence.
        replace: give up a promotion of another commit that waits on the branch.

    Raises:
        UsageError: a signature is required and there is no key.
        InputError: another promotion is under way.
    """
    evidence = _evidence(inputs)
    if not all(gate.passed for gate in evidence.gates):
        return Promotion(evidence, branch.name, None, changed=False)
    if inputs.gates.signed_reports and key is None:
        raise UsageError("evidence has to be signed: whose key?", hint="--key FILE")
    waiting = branch.tip(inputs.commit, replace=replace)
    if waiting and _is_same(branch.upstream.git, waiting, evidence, branch.upstream.main):
        return Promotion(evidence, branch.name, waiting, changed=False)
    text = evidence.as_text()
    path = pointer.evidence(inputs.target, inputs.commit)
    changes = {**pointer_change(repository, inputs.target, inputs.commit), path: text}
    if key:
        changes[path + SIGNATURE] = signature.sign(text, key, signature.RELEASE)
    pins = history.pins(repository, inputs.target)
    message = commit_message.promotion(
        branch.upstream.git,
        evidence,
        pins[0].evidence if pins else None,
        inputs.candidate.old,
        inputs.candidate.new,
    )
    return Promotion(evidence, branch.name, branch.commit(changes, message), changed=True)


def pointer_change(repository: Repository, env: str, commit: str) -> dict[str, str]:
    """The change that points an environment at a commit."""
    path = pointer.path(env)
    file = repository.root / path
    return {path: site.replace(file.read_text(), file, pointer.PINNED, commit)}


def _evidence(inputs: GateInputs) -> Evidence:
    return Evidence(
        environment=inputs.target,
        commit=inputs.commit,
        digest=inputs.candidate.digest,
        replaces=inputs.candidate.replaces,
        decided=inputs.now.isoformat("T", "seconds"),
        source=Source(
            environment=inputs.source,
            commit=inputs.running.commit,
            digest=inputs.digest,
            ready_since=inputs.running.steady_since.isoformat("T", "seconds"),
            unchanged_since=inputs.running.since.isoformat("T", "seconds"),
        ),
        gates=tuple(evaluation.evaluate_gates(inputs)),
        reports=tuple(_reports(inputs)),
        accepted=tuple(sorted(inputs.options.accept)),
        override=inputs.options.override,
    )


def _reports(inputs: GateInputs) -> Iterator[Proven]:
    for kind in inputs.reports:
        if proof := inputs.newest(kind):
            yield Proven(
                kind=proof.kind,
                name=proof.name,
                sha256=proof.sha256,
                signed_by=evaluation.signer_of(inputs, proof),
                started=proof.report.started,
                figures=tuple(report_file.figures(proof.load)) if proof.load else (),
            )


def _is_same(git: Git, tip: str, evidence: Evidence, main: str) -> bool:
    """Whether a waiting commit is of this main and rests on the same reports."""
    text = git.read(tip, pointer.evidence(evidence.environment, evidence.commit))
    if text is None or git.resolve(f"{tip}^") != main:
        return False
    try:
        waiting = Evidence.model_validate_json(text)
    except ValidationError:
        return False
    # Only the hour, and the hours in the gates' texts, differ.
    same_time = {"decided": waiting.decided, "gates": waiting.gates}
    return waiting == evidence.model_copy(update=same_time)
