"""`harness check` verifies a pointer by what held when it moved: freezes, clocks, rollbacks."""

import datetime
from pathlib import Path

from harness.attestation import pointer, record
from harness.core.git import Git
from harness.core.repository import Repository
from harness.policy import engine
from harness.promotion import history, rollback
from harness.promotion.branch import Branch, upstream
from tests.promotion import cases, production_clone
from tests.promotion.conftest import POINTER, allow, new_key
from tests.promotion.production_clone import (
    DAY,
    GATES,
    Production,
    evidence_text,
    problems,
    promotion_findings,
    verifiability_problems,
)
from tests.promotion.test_promote import BRANCH

production = production_clone.production


def test_merge_in_a_freeze_is_found(production: Production) -> None:
    saturday = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)
    production.set_clock(saturday)
    decided = (saturday - datetime.timedelta(hours=1)).isoformat()
    production.move(evidence_text(production.evidence, decided=decided), production.key)
    (problem,) = problems(production.repository)
    assert "merged at 2026-11-28 12:00 UTC, in a freeze: weekend" in problem


def test_freeze_that_was_overridden_is_fine(production: Production) -> None:
    saturday = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)
    production.set_clock(saturday)
    text = evidence_text(
        production.evidence, decided=saturday.isoformat(), override="the site is down"
    )
    production.move(text, production.key)
    assert problems(production.repository) == []


def test_what_waits_is_judged_by_the_clock(production: Production) -> None:
    production.clone.edit(GATES, "freeze:", "freeze: []\nformer:")
    text = (production.clone.root / GATES).read_text()
    (production.clone.root / GATES).write_text(text.partition("former:")[0])
    production.clone.commit("No freeze")
    now = datetime.datetime.now(datetime.UTC)
    fresh = [x.model_copy(update={"started": now.isoformat()}) for x in production.evidence.reports]
    for decided, message in ((now, []), (now - DAY * 2, ["decided 48.0 h before the merge"])):
        production.write(
            evidence_text(production.evidence, decided=decided.isoformat(), reports=fresh),
            production.key,
        )
        reported = problems(production.repository)
        assert [each.partition(" ")[2].partition(",")[0] for each in reported] == message


def test_evidence_of_version_one_is_verified_with_the_gates_of_its_time(
    production: Production,
) -> None:
    first = [x for x in production.evidence.gates if x.name in record.GATES[1]]
    production.move(
        evidence_text(production.evidence, schema_version=1, gates=first), production.key
    )
    assert problems(production.repository) == []


def test_evidence_that_was_laid_out_beforehand_is_found(production: Production) -> None:
    production.write(production.evidence.as_text(), production.key)
    production.clone.git.run("checkout", "--quiet", POINTER)
    production.clone.commit("Only a file")
    production.move(production.evidence.as_text(), production.key)
    (problem,) = problems(production.repository)
    assert "on main before the pointer ever moved" in problem


def _roll_back(production: Production, to: str) -> None:
    branch = Branch.of(upstream(production.clone.git), "production", "rollback")
    pin = rollback.choose(history.pins(production.repository, "production"), to)
    candidate = cases.rendered_candidate(production.repository, pin.commit)
    rollback.rollback(production.repository, branch, pin, candidate, "slow")
    production.clone.merge("rollback/production")


def test_rollback_to_what_was_promoted_needs_nothing_new(production: Production) -> None:
    production.clone.merge(BRANCH)
    production.clone.pin(production.clone.change(5))
    production.set_clock(cases.NOW + 400 * DAY + 2 * DAY)  # a Saturday, when the key is gone
    allow(production.clone, new_key(production.key.with_name("next")))
    _roll_back(production, production.commit)
    assert problems(production.repository) == []
    newest = history.pins(production.repository, "production")[0]
    assert (newest.commit, newest.signed_by) == (production.commit, "ada@example.com")


def test_rollback_to_what_was_never_promoted_is_found(production: Production) -> None:
    by_hand = history.pins(production.repository, "production")[0].commit
    production.clone.merge(BRANCH)
    _roll_back(production, by_hand)
    (problem,) = problems(production.repository)
    assert f"no evidence of {by_hand[:12]}" in problem


def test_checkout_without_history_says_what_it_cannot_verify(
    production: Production, tmp_path: Path
) -> None:
    production.clone.merge(BRANCH)
    shallow = tmp_path / "shallow"
    url = f"file://{production.clone.origin.folder}"
    Git(tmp_path).run("clone", "--quiet", "--depth=1", url, str(shallow))
    assert problems(Repository(shallow)) == []
    assert verifiability_problems(Repository(shallow)) == [
        f"the evidence of {production.commit[:12]} cannot be verified: a shallow clone"
    ]
    forged = shallow / pointer.evidence("production", production.commit)
    forged.write_text("{}")
    assert problems(Repository(shallow)) != [], "what it can see it verifies"


def test_first_commit_that_pins_says_that_nothing_was_before(
    production: Production, tmp_path: Path
) -> None:
    production.clone.merge(BRANCH)
    git = production.clone.git
    first = git.run("commit-tree", "HEAD^{tree}", "-m", "All at once")
    git.run("reset", "--quiet", "--hard", first)
    git.run("push", "--quiet", "--force", "origin", "main")
    assert problems(production.repository) == []
    (message,) = verifiability_problems(production.repository)
    assert message.endswith("the first commit of this history pins it already")
    assert promotion_findings(production.repository) == [
        f"{POINTER} promotion/unverified {message}"
    ]
    assert not any(
        each.rule.startswith("promotion/") for each in engine.check(production.repository).errors
    ), "reported, and not failed"


def test_other_environments_with_gates_are_judged_alike(production: Production) -> None:
    staging = production.clone.root / "clusters/staging"
    (staging / "promotion.yaml").write_text("from: local\n")
    pinned = production.clone.root.joinpath(POINTER).read_text()
    (staging / "release.yaml").write_text(pinned)
    (problem, *_) = problems(production.repository)
    assert problem.startswith("clusters/production/release.yaml")
    assert any(
        each.startswith("clusters/staging/release.yaml") for each in problems(production.repository)
    )
