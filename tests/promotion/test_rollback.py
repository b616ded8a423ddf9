"""The way back: to what was recorded, if it can still run."""

import dataclasses

import pytest

from harness.core.errors import InputError, UsageError
from harness.promotion import history, rollback
from harness.promotion.branch import Branch, upstream
from harness.promotion.case import Candidate
from tests.promotion import cases
from tests.promotion.conftest import POINTER, Clone

BRANCH = "rollback/production"
FINE = Candidate("e" * 64, (), (), (), cases.MODELS, ())


def _back(clone: Clone, to: str = "", found: Candidate = FINE) -> rollback.Rollback:
    branch = Branch.of(upstream(clone.git), "production", "rollback")
    release = rollback.chosen(history.pinned(clone.repository, "production"), to)
    return rollback.rollback(clone.repository, branch, release, found, "it answers slowly")


@pytest.fixture
def moved(clone: Clone) -> tuple[Clone, str, str]:
    """Two releases that production pinned, one after the other."""
    first = clone.change(1)
    clone.pin(first)
    second = clone.change(2)
    clone.pin(second)
    return clone, first, second


def test_pointer_goes_back_and_nothing_else_changes(moved: tuple[Clone, str, str]) -> None:
    clone, first, second = moved
    done = _back(clone)
    assert (done.commit, done.replaces) == (first, second)
    assert clone.git.run("diff", "--name-only", f"{done.made}^", done.made) == POINTER
    message = clone.git.run("log", "-1", "--format=%B", done.made)
    assert message.startswith(f"Roll production back to {first[:12]}")
    assert "it answers slowly" in message
    assert "job_queue_size" in message, "what changes, rendered"


def test_back_and_back_again_goes_forward(moved: tuple[Clone, str, str]) -> None:
    clone, first, second = moved
    _back(clone)
    clone.merge(BRANCH)
    assert history.pinned(clone.repository, "production")[0].commit == first
    assert _back(clone).commit == second


def test_any_recorded_release_can_be_named(moved: tuple[Clone, str, str]) -> None:
    clone, *_ = moved
    oldest = history.pinned(clone.repository, "production")[-1].commit
    assert _back(clone, oldest[:9]).commit == oldest


def test_commit_that_never_ran_is_no_release(moved: tuple[Clone, str, str]) -> None:
    clone, first, second = moved
    for unknown in ("0" * 40, clone.head(), second):
        with pytest.raises(UsageError, match="no recorded release") as refused:
            _back(clone, unknown)
        assert first[:12] in refused.value.hint


def test_twice_changes_nothing(moved: tuple[Clone, str, str]) -> None:
    clone, *_ = moved
    first = _back(clone)
    second = _back(clone)
    assert (second.made, second.changed) == (first.made, False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"missing": ("s3://models lacks tiny-1.mar",)}, "lacks tiny-1.mar"),
        ({"missing": ("there is no torchserve@sha256:0",)}, "there is no torchserve"),
        ({"faults": ("Kustomization/efs: gone",)}, "gone"),
        ({"unsigned": ("it is not signed",)}, "it is not signed"),
        ({"unset": ("DOMAIN",)}, "UNSET: DOMAIN"),
    ],
)
def test_release_that_cannot_run_any_more_is_refused(
    moved: tuple[Clone, str, str], changes: dict[str, tuple[str, ...]], said: str
) -> None:
    clone, *_ = moved
    with pytest.raises(InputError, match=said):
        _back(clone, found=dataclasses.replace(FINE, **changes))
    assert clone.git.resolve(BRANCH) is None


def test_release_that_no_branch_holds_any_more_is_refused(clone: Clone) -> None:
    clone.git.run("switch", "--quiet", "--create", "release/fix")
    clone.edit("clusters/production/site.yaml", "ENVIRONMENT: production", "ENVIRONMENT: other")
    fix = clone.commit("A fix", push=False)
    clone.git.run("push", "--quiet", "origin", "release/fix")
    clone.git.run("switch", "--quiet", "main")
    clone.pin(fix)
    clone.pin(clone.change(2))
    assert _back(clone, fix).commit == fix, "while its branch is there"
    clone.git.run("branch", "--quiet", "-D", BRANCH)
    clone.origin.run("branch", "--quiet", "-D", "release/fix")
    with pytest.raises(InputError, match=r"neither in main nor in a release/\* branch"):
        _back(clone, fix)
    assert clone.git.resolve(BRANCH) is None


def test_dirty_checkout_is_refused(moved: tuple[Clone, str, str]) -> None:
    clone, *_ = moved
    clone.edit(POINTER, "interval: 1m", "interval: 2m")
    with pytest.raises(InputError, match="not committed"):
        _back(clone)


def test_environment_that_never_moved_has_nowhere_to_go(clone: Clone) -> None:
    with pytest.raises(UsageError, match="before this one"):
        _back(clone)
