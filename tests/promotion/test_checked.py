"""`harness check` sees whether production's pointer was moved through the gates."""

from harness.core.repository import Repository
from harness.policy import engine
from harness.promotion import promote
from harness.promotion.branch import Branch, upstream
from tests.promotion.conftest import POINTER, Clone
from tests.promotion.test_promote import BRANCH, case

RULE = "promotion/evidence"


def _found(repository: Repository) -> list[str]:
    findings = engine.check(repository).findings
    return [f"{each.location.path} {each.message}" for each in findings if each.rule == RULE]


def test_pointer_that_was_moved_by_hand_is_found(clone: Clone) -> None:
    commit = clone.change(321)
    clone.pin(commit)
    assert _found(clone.repository) == [f"{POINTER} there is no evidence of {commit[:12]}"]


def test_pointer_that_was_promoted_is_fine(clone: Clone) -> None:
    commit = clone.change(321)
    branch = Branch.of(upstream(clone.git), "production", "promote")
    promote.promote(clone.repository, case(clone, commit), branch, None)
    clone.merge(BRANCH)
    assert _found(clone.repository) == []


def test_evidence_of_another_release_does_not_count(clone: Clone) -> None:
    first, second = clone.change(321), clone.change(322)
    folder = clone.root / "clusters" / "production" / "evidence"
    folder.mkdir()
    told = f'{{"commit": "{first}", "environment": "production"}}'
    (folder / f"{second}.json").write_text(told)
    clone.pin(second)
    assert len(_found(clone.repository)) == 1
