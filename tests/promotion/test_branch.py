"""Where main stands: what is shared, what was rewritten, and who was faster."""

import pytest

from harness.core.errors import HarnessError, InputError
from harness.promotion.branch import Branch, upstream
from tests.promotion.conftest import Clone


def complaint(clone: Clone) -> str:
    return upstream(clone.git).complaint()


def test_clean_current_main_is_fine(clone: Clone) -> None:
    assert complaint(clone) == ""


def test_uncommitted_files_are_named(clone: Clone) -> None:
    (clone.root / "infra" / "new.yaml").write_text("a: 1\n")
    assert complaint(clone) == "1 file is not committed, the first: infra/new.yaml"


def test_another_branch_is_not_main(clone: Clone) -> None:
    clone.git.run("switch", "--quiet", "--create", "topic")
    assert complaint(clone) == "on topic, not on main"
    clone.git.run("switch", "--quiet", "--detach")
    assert complaint(clone) == "on no branch, not on main"


def test_commit_that_was_not_pushed_is_not_shared(clone: Clone) -> None:
    clone.edit("clusters/production/site.yaml", "ENVIRONMENT: production", "ENVIRONMENT: other")
    clone.commit(push=False)
    assert "upstream" in complaint(clone)


def test_main_that_was_rewritten_is_seen_after_a_fetch(clone: Clone) -> None:
    first, second = clone.head(), clone.change(321)
    assert upstream(clone.git).reaches(second)
    clone.origin.run("update-ref", "refs/heads/main", first)
    now = upstream(clone.git)
    assert not now.reaches(second)
    assert now.reaches(first)
    assert "upstream" in now.complaint()


def test_release_branches_hold_commits_too(clone: Clone) -> None:
    clone.git.run("switch", "--quiet", "--create", "release/1")
    clone.edit("clusters/production/site.yaml", "ENVIRONMENT: production", "ENVIRONMENT: other")
    fix = clone.commit("A fix", push=False)
    assert not upstream(clone.git).reaches(fix)
    clone.git.run("push", "--quiet", "origin", "release/1")
    assert upstream(clone.git).reaches(fix)


def test_clone_without_origin_is_its_own_upstream(clone: Clone) -> None:
    clone.git.run("remote", "remove", "origin")
    assert upstream(clone.git).complaint() == ""


def test_origin_that_does_not_answer_is_an_error(clone: Clone) -> None:
    clone.git.run("remote", "set-url", "origin", str(clone.root / "gone"))
    with pytest.raises(HarnessError, match="origin cannot be fetched"):
        upstream(clone.git)


def _branch(clone: Clone) -> Branch:
    return Branch.of(upstream(clone.git), "production", "promote")


def test_of_two_that_commit_at_once_one_wins(clone: Clone) -> None:
    ours, theirs = _branch(clone), _branch(clone)
    tip = theirs.commit({"a": "1\n"}, "Theirs")
    with pytest.raises(InputError, match="somebody else"):
        ours.commit({"a": "2\n"}, "Ours")
    assert clone.git.resolve(ours.name) == tip


def test_push_waits_for_a_main_that_stands_still(clone: Clone) -> None:
    ours = _branch(clone)
    tip = ours.commit({"a": "1\n"}, "Ours")
    clone.change(321)
    with pytest.raises(InputError, match="main moved"):
        ours.push(tip)


def test_push_does_not_overwrite_what_somebody_pushed_meanwhile(clone: Clone) -> None:
    ours = _branch(clone)
    ours.push(ours.commit({"a": "1\n"}, "Ours"))
    # From now on the clone fetches main alone, as if the others pushed after its fetch.
    clone.git.run("config", "remote.origin.fetch", "+refs/heads/main:refs/remotes/origin/main")
    again = _branch(clone).commit({"a": "3\n"}, "Ours again")
    theirs = clone.git.commit({"a": "2\n"}, "Theirs", parent=ours.upstream.main)
    clone.origin.run("fetch", "--quiet", str(clone.root), theirs)
    clone.origin.run("update-ref", f"refs/heads/{ours.name}", theirs)
    with pytest.raises(InputError, match="cannot be pushed"):
        ours.push(again)
    assert clone.origin.resolve(ours.name) == theirs
