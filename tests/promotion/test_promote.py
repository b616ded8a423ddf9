"""The one commit that a promotion makes, and what keeps it from being made."""

import dataclasses
import json
from pathlib import Path

import pytest

from harness.attestation import pointer, signature
from harness.attestation.record import Evidence
from harness.attestation.signature import Signers
from harness.core.errors import InputError, UsageError
from harness.promotion import history, promote
from harness.promotion.branch import Branch, upstream
from harness.promotion.gate_inputs import GateInputs, PromotionOptions
from harness.render import digest
from harness.render.renderer import Renderer
from tests.promotion import cases
from tests.promotion.conftest import POINTER, Clone, allow

BRANCH = "promote/production"


def gate_inputs(clone: Clone, commit: str, **changes: object) -> GateInputs:
    """Inputs about a commit that passes every gate."""
    renderer = Renderer(clone.repository)
    source_digest = digest.release_digest(renderer.at("staging", commit))
    release = {"commit": commit, "digest": source_digest, "helm": "", "pods": ""}
    passing = cases.gate_inputs(
        commit=commit,
        digest=source_digest,
        running_digest=source_digest,
        reported={commit: cases.ReportedCommit(cases.hours_ago(100), source_digest)},
        reports={
            "loadtest": cases.stored_reports(cases.load_proof(release=release)),
            "smoke": cases.stored_reports(cases.proof(cases.smoke_text(release=release))),
        },
        candidate=cases.rendered_candidate(clone.repository, commit),
    )
    return dataclasses.replace(passing, **changes)


def branch(clone: Clone) -> Branch:
    return Branch.of(upstream(clone.git), "production", "promote")


def test_commit_moves_the_pointer_adds_the_evidence_and_nothing_else(clone: Clone) -> None:
    before, commit = clone.head(), clone.change(321)
    promotion = promote.promote(clone.repository, gate_inputs(clone, commit), branch(clone), None)
    assert promotion.commit
    assert promotion.changed
    changed = clone.git.run(
        "diff", "--name-status", f"{promotion.commit}^", promotion.commit
    ).splitlines()
    assert changed == [f"A\t{pointer.evidence('production', commit)}", f"M\t{POINTER}"]
    assert clone.git.run(
        "diff", "--numstat", f"{promotion.commit}^", promotion.commit, "--", POINTER
    ).startswith("1\t1\t")
    assert pointer.read(clone.git.read(promotion.commit, POINTER) or "") == commit
    assert clone.head() == commit, "the working tree is where it was"
    assert clone.git.run("status", "--porcelain") == ""
    assert before != commit


def test_evidence_lists_gates_and_reports(clone: Clone) -> None:
    commit = clone.change(321)
    before = history.pins(clone.repository, "production")[0].commit
    promotion = promote.promote(clone.repository, gate_inputs(clone, commit), branch(clone), None)
    text = clone.git.read(str(promotion.commit), pointer.evidence("production", commit))
    evidence = Evidence.model_validate_json(text or "")
    assert (evidence.commit, evidence.replaces) == (commit, before)
    assert all(gate.passed for gate in evidence.gates)
    assert {report.kind for report in evidence.reports} == {"loadtest", "smoke"}
    assert evidence.digest == digest.release_digest(
        Renderer(clone.repository).pinning("production", commit)
    )


def test_promotion_renders_nothing_again(clone: Clone) -> None:
    """Both sides come with its inputs: it works where nothing can be rendered any more."""
    inputs = gate_inputs(clone, clone.change(321))
    for name in ("build/tools", "build/check/cache", "tools"):
        (clone.root / name).unlink()
    assert promote.promote(clone.repository, inputs, branch(clone), None).changed


def test_message_is_the_pull_requests_text(clone: Clone) -> None:
    commit = clone.change(321)
    promotion = promote.promote(clone.repository, gate_inputs(clone, commit), branch(clone), None)
    message = clone.git.run("log", "-1", "--format=%B", str(promotion.commit))
    assert message.startswith(f"Promote {commit[:12]} to production\n")
    for part in ("Queue 321", "tiny", "✓ soak: Ready for 30.0 h", "job_queue_size=321"):
        assert part in message


def test_second_promotion_changes_nothing(clone: Clone) -> None:
    commit = clone.change(321)
    first = promote.promote(clone.repository, gate_inputs(clone, commit), branch(clone), None)
    second = promote.promote(clone.repository, gate_inputs(clone, commit), branch(clone), None)
    assert second.commit == first.commit
    assert not second.changed


def test_newer_report_updates_the_branch(clone: Clone) -> None:
    commit = clone.change(321)
    first = promote.promote(clone.repository, gate_inputs(clone, commit), branch(clone), None)
    inputs = gate_inputs(clone, commit)
    release = inputs.reports["loadtest"].proofs[0].report.release
    newer = cases.load_proof(started=cases.hours_ago(1).isoformat(), release=release)
    reports = {**inputs.reports, "loadtest": cases.stored_reports(newer)}
    second = promote.promote(
        clone.repository, dataclasses.replace(inputs, reports=reports), branch(clone), None
    )
    assert second.changed
    assert second.commit != first.commit
    assert clone.git.resolve(BRANCH) == second.commit
    assert clone.git.run("rev-list", "--count", f"main..{BRANCH}") == "1"


def test_failed_gate_makes_no_commit_and_no_branch(clone: Clone) -> None:
    commit = clone.change(321)
    inputs = gate_inputs(clone, commit, options=PromotionOptions(accept=("no-such:danger",)))
    promotion = promote.promote(clone.repository, inputs, branch(clone), None)
    assert promotion.commit is None
    assert [gate.name for gate in promotion.failed_gates] == ["dangers"]
    assert clone.git.resolve(BRANCH) is None


def test_evidence_is_signed_for_releases(clone: Clone, key: Path) -> None:
    allow(clone, key)
    commit = clone.change(321)
    promotion = promote.promote(clone.repository, gate_inputs(clone, commit), branch(clone), key)
    clone.merge(BRANCH)
    newest = history.pins(clone.repository, "production")[0]
    assert newest.commit == commit
    assert newest.signed_by == "ada@example.com"
    assert newest.moved_in == promotion.commit or newest.why.startswith("Merge")


def test_edited_evidence_is_signed_by_nobody(clone: Clone, key: Path) -> None:
    allow(clone, key)
    commit = clone.change(321)
    promote.promote(clone.repository, gate_inputs(clone, commit), branch(clone), key)
    clone.merge(BRANCH)
    path = clone.root / pointer.evidence("production", commit)
    evidence = json.loads(path.read_text())
    evidence["override"] = "nothing to see"
    path.write_text(json.dumps(evidence))
    clone.commit("Edit")
    newest = history.pins(clone.repository, "production")[0]
    assert newest.evidence
    assert newest.signed_by is None


def test_evidence_has_to_be_signed_where_reports_have_to_be(clone: Clone, key: Path) -> None:
    commit = clone.change(321)
    inputs = gate_inputs(clone, commit)
    signed = {
        kind: cases.stored_reports(
            cases.proof(each.text, signature.sign(each.text, key, signature.EVIDENCE))
        )
        for kind, reports in inputs.reports.items()
        for each in reports.proofs
    }
    strict = dataclasses.replace(
        inputs,
        reports=signed,
        gates=cases.gates(signedReports=True),
        signers=Signers(f"ada@example.com {key.with_suffix('.pub').read_text()}"),
    )
    with pytest.raises(UsageError, match="whose key"):
        promote.promote(clone.repository, strict, branch(clone), None)
    promotion = promote.promote(clone.repository, strict, branch(clone), key)
    assert {report.signed_by for report in promotion.evidence.reports} == {"ada@example.com"}


def test_another_promotion_under_way_is_not_overrun(clone: Clone) -> None:
    first = clone.change(321)
    promote.promote(clone.repository, gate_inputs(clone, first), branch(clone), None)
    second = clone.change(322)
    with pytest.raises(InputError, match=f"already moves production to {first[:12]}"):
        promote.promote(clone.repository, gate_inputs(clone, second), branch(clone), None)
    promotion = promote.promote(
        clone.repository, gate_inputs(clone, second), branch(clone), None, replace=True
    )
    assert pointer.read(clone.git.read(str(promotion.commit), POINTER) or "") == second


def test_another_promotion_upstream_is_refused(clone: Clone) -> None:
    first = clone.change(321)
    ours = branch(clone)
    promotion = promote.promote(clone.repository, gate_inputs(clone, first), ours, None)
    ours.push(str(promotion.commit))
    clone.git.run("branch", "--quiet", "-D", BRANCH)
    second = clone.change(322)
    with pytest.raises(InputError, match="already moves") as refused:
        promote.promote(clone.repository, gate_inputs(clone, second), branch(clone), None)
    assert "git push origin --delete promote/production" in refused.value.hint


def test_squashed_promotion_makes_room_for_the_next(clone: Clone) -> None:
    first = clone.change(321)
    ours = branch(clone)
    promotion = promote.promote(clone.repository, gate_inputs(clone, first), ours, None)
    ours.push(str(promotion.commit))
    clone.change(5)  # main goes on while the pull request is open
    clone.git.run("merge", "--quiet", "--squash", BRANCH)
    clone.commit("Promote (#12)")
    second = clone.change(322)
    promotion = promote.promote(clone.repository, gate_inputs(clone, second), branch(clone), None)
    assert promotion.evidence.replaces == first
    branch(clone).push(str(promotion.commit))


def test_merged_promotion_makes_room_for_the_next(clone: Clone) -> None:
    first = clone.change(321)
    promote.promote(clone.repository, gate_inputs(clone, first), branch(clone), None)
    clone.merge(BRANCH)
    second = clone.change(322)
    promotion = promote.promote(clone.repository, gate_inputs(clone, second), branch(clone), None)
    assert promotion.evidence.replaces == first
    clone.merge(BRANCH)
    commits = [each.commit for each in history.pins(clone.repository, "production")]
    assert commits[:2] == [second, first]
