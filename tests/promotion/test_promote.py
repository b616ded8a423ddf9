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
from harness.promotion.case import Candidate, Case, Wish
from harness.render import digest
from harness.render.renderer import Renderer
from tests.promotion import cases
from tests.promotion.conftest import POINTER, Clone, allow

BRANCH = "promote/production"


def case(clone: Clone, commit: str, **changes: object) -> Case:
    """A case about a commit that passes every gate."""
    renderer = Renderer(clone.repository)
    proves = digest.release_digest(renderer.at("staging", commit))
    will_run = digest.release_digest(renderer.pinning("production", commit))
    release = {"commit": commit, "digest": proves, "helm": "", "pods": ""}
    good = cases.case(
        commit=commit,
        digest=proves,
        running_digest=proves,
        reported={commit: cases.Reported(cases.hours_ago(100), proves)},
        kept={
            "loadtest": cases.kept(cases.load_proof(release=release)),
            "smoke": cases.kept(cases.proof(cases.smoke_text(release=release))),
        },
        candidate=Candidate(will_run, (), (), (), cases.MODELS, ()),
    )
    return dataclasses.replace(good, **changes)


def branch(clone: Clone) -> Branch:
    return Branch.of(upstream(clone.git), "production", "promote")


def test_commit_moves_the_pointer_adds_the_evidence_and_nothing_else(clone: Clone) -> None:
    before, commit = clone.head(), clone.change(321)
    done = promote.promote(clone.repository, case(clone, commit), branch(clone), None)
    assert done.made
    assert done.changed
    changed = clone.git.run("diff", "--name-status", f"{done.made}^", done.made).splitlines()
    assert changed == [f"A\t{pointer.evidence('production', commit)}", f"M\t{POINTER}"]
    assert clone.git.run("diff", "--numstat", f"{done.made}^", done.made, "--", POINTER).startswith(
        "1\t1\t"
    )
    assert pointer.read(clone.git.read(done.made, POINTER) or "") == commit
    assert clone.head() == commit, "the checkout is where it was"
    assert clone.git.run("status", "--porcelain") == ""
    assert before != commit


def test_evidence_says_why(clone: Clone) -> None:
    commit = clone.change(321)
    before = history.pinned(clone.repository, "production")[0].commit
    done = promote.promote(clone.repository, case(clone, commit), branch(clone), None)
    text = clone.git.read(str(done.made), pointer.evidence("production", commit))
    told = Evidence.model_validate_json(text or "")
    assert (told.commit, told.replaces) == (commit, before)
    assert all(gate.passed for gate in told.gates)
    assert {report.kind for report in told.reports} == {"loadtest", "smoke"}
    assert told.digest == digest.release_digest(
        Renderer(clone.repository).pinning("production", commit)
    )


def test_message_is_the_pull_requests_text(clone: Clone) -> None:
    commit = clone.change(321)
    done = promote.promote(clone.repository, case(clone, commit), branch(clone), None)
    message = clone.git.run("log", "-1", "--format=%B", str(done.made))
    assert message.startswith(f"Promote {commit[:12]} to production\n")
    for part in ("Queue 321", "tiny", "✓ soak: Ready for 30.0 h", "job_queue_size=321"):
        assert part in message


def test_twice_changes_nothing(clone: Clone) -> None:
    commit = clone.change(321)
    first = promote.promote(clone.repository, case(clone, commit), branch(clone), None)
    second = promote.promote(clone.repository, case(clone, commit), branch(clone), None)
    assert second.made == first.made
    assert not second.changed


def test_newer_report_updates_the_branch(clone: Clone) -> None:
    commit = clone.change(321)
    first = promote.promote(clone.repository, case(clone, commit), branch(clone), None)
    known = case(clone, commit)
    release = known.kept["loadtest"].proofs[0].report.release
    newer = cases.load_proof(started=cases.hours_ago(1).isoformat(), release=release)
    kept = {**known.kept, "loadtest": cases.kept(newer)}
    second = promote.promote(
        clone.repository, dataclasses.replace(known, kept=kept), branch(clone), None
    )
    assert second.changed
    assert second.made != first.made
    assert clone.git.resolve(BRANCH) == second.made
    assert clone.git.run("rev-list", "--count", f"main..{BRANCH}") == "1"


def test_refused_case_makes_no_commit_and_no_branch(clone: Clone) -> None:
    commit = clone.change(321)
    refused = case(clone, commit, wish=Wish(accept=("no-such:danger",)))
    done = promote.promote(clone.repository, refused, branch(clone), None)
    assert done.made is None
    assert [gate.name for gate in done.refused] == ["dangers"]
    assert clone.git.resolve(BRANCH) is None


def test_evidence_is_signed_for_releases(clone: Clone, key: Path) -> None:
    allow(clone, key)
    commit = clone.change(321)
    done = promote.promote(clone.repository, case(clone, commit), branch(clone), key)
    clone.merge(BRANCH)
    newest = history.pinned(clone.repository, "production")[0]
    assert newest.commit == commit
    assert newest.signed_by == "ada@example.com"
    assert newest.moved_in == done.made or newest.why.startswith("Merge")


def test_edited_evidence_is_signed_by_nobody(clone: Clone, key: Path) -> None:
    allow(clone, key)
    commit = clone.change(321)
    promote.promote(clone.repository, case(clone, commit), branch(clone), key)
    clone.merge(BRANCH)
    path = clone.root / pointer.evidence("production", commit)
    told = json.loads(path.read_text())
    told["override"] = "nothing to see"
    path.write_text(json.dumps(told))
    clone.commit("Edit")
    newest = history.pinned(clone.repository, "production")[0]
    assert newest.evidence
    assert newest.signed_by is None


def test_evidence_has_to_be_signed_where_reports_have_to_be(clone: Clone, key: Path) -> None:
    commit = clone.change(321)
    known = case(clone, commit)
    signed = {
        kind: cases.kept(cases.proof(each.text, signature.sign(each.text, key, signature.EVIDENCE)))
        for kind, found in known.kept.items()
        for each in found.proofs
    }
    strict = dataclasses.replace(
        known,
        kept=signed,
        gates=cases.gates(signedReports=True),
        signers=Signers(f"ada@example.com {key.with_suffix('.pub').read_text()}"),
    )
    with pytest.raises(UsageError, match="whose key"):
        promote.promote(clone.repository, strict, branch(clone), None)
    done = promote.promote(clone.repository, strict, branch(clone), key)
    assert {report.signed_by for report in done.evidence.reports} == {"ada@example.com"}


def test_another_promotion_under_way_is_not_overrun(clone: Clone) -> None:
    first = clone.change(321)
    promote.promote(clone.repository, case(clone, first), branch(clone), None)
    second = clone.change(322)
    with pytest.raises(InputError, match=f"already moves production to {first[:12]}"):
        promote.promote(clone.repository, case(clone, second), branch(clone), None)
    done = promote.promote(clone.repository, case(clone, second), branch(clone), None, replace=True)
    assert pointer.read(clone.git.read(str(done.made), POINTER) or "") == second


def test_another_promotion_upstream_is_seen(clone: Clone) -> None:
    first = clone.change(321)
    ours = branch(clone)
    done = promote.promote(clone.repository, case(clone, first), ours, None)
    ours.push(str(done.made))
    clone.git.run("branch", "--quiet", "-D", BRANCH)
    second = clone.change(322)
    with pytest.raises(InputError, match="already moves") as refused:
        promote.promote(clone.repository, case(clone, second), branch(clone), None)
    assert "git push origin --delete promote/production" in refused.value.hint


def test_squashed_promotion_makes_room_for_the_next(clone: Clone) -> None:
    first = clone.change(321)
    ours = branch(clone)
    done = promote.promote(clone.repository, case(clone, first), ours, None)
    ours.push(str(done.made))
    clone.change(5)  # main goes on while the pull request is open
    clone.git.run("merge", "--quiet", "--squash", BRANCH)
    clone.commit("Promote (#12)")
    second = clone.change(322)
    done = promote.promote(clone.repository, case(clone, second), branch(clone), None)
    assert done.evidence.replaces == first
    branch(clone).push(str(done.made))


def test_merged_promotion_makes_room_for_the_next(clone: Clone) -> None:
    first = clone.change(321)
    promote.promote(clone.repository, case(clone, first), branch(clone), None)
    clone.merge(BRANCH)
    second = clone.change(322)
    done = promote.promote(clone.repository, case(clone, second), branch(clone), None)
    assert done.evidence.replaces == first
    clone.merge(BRANCH)
    moved = [each.commit for each in history.pinned(clone.repository, "production")]
    assert moved[:2] == [second, first]
