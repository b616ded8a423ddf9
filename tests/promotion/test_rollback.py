"""The way back: to what was recorded, if it can still run."""

import pytest

from harness.core.errors import InputError, UsageError
from harness.promotion import history, rollback
from harness.promotion.branch import Branch, upstream
from tests.promotion import cases
from tests.promotion.conftest import POINTER, Clone

BRANCH = "rollback/production"


def _back(clone: Clone, to: str = "", **changes: object) -> rollback.Rollback:
    branch = Branch.of(upstream(clone.git), "production", "rollback")
    pin = rollback.choose(history.pins(clone.repository, "production"), to)
    candidate = cases.rendered_candidate(clone.repository, pin.commit, **changes)
    return rollback.rollback(clone.repository, branch, pin, candidate, "it answers slowly")


@pytest.fixture
def two_pins(clone: Clone) -> tuple[Clone, str, str]:
    """Two releases that production pinned, one after the other."""
    first = clone.change(1)
    clone.pin(first)
    second = clone.change(2)
    clone.pin(second)
    return clone, first, second


def test_pointer_goes_back_and_nothing_else_changes(two_pins: tuple[Clone, str, str]) -> None:
    clone, first, second = two_pins
    result = _back(clone)
    assert (result.commit, result.replaces) == (first, second)
    assert clone.git.run("diff", "--name-only", f"{result.tip}^", result.tip) == POINTER
    message = clone.git.run("log", "-1", "--format=%B", result.tip)
    assert message.startswith(f"Roll production back to {first[:12]}")
    assert "it answers slowly" in message
    assert "job_queue_size" in message, "what changes, rendered"


def test_back_and_back_again_goes_forward(two_pins: tuple[Clone, str, str]) -> None:
    clone, first, second = two_pins
    _back(clone)
    clone.merge(BRANCH)
    assert history.pins(clone.repository, "production")[0].commit == first
    assert _back(clone).commit == second


def test_any_recorded_release_can_be_named(two_pins: tuple[Clone, str, str]) -> None:
    clone, *_ = two_pins
    oldest = history.pins(clone.repository, "production")[-1].commit
    assert _back(clone, oldest[:9]).commit == oldest


def test_commit_that_never_ran_is_no_release(two_pins: tuple[Clone, str, str]) -> None:
    clone, first, second = two_pins
    for unknown in ("0" * 40, clone.head(), second):
        with pytest.raises(UsageError, match="no recorded release") as refused:
            _back(clone, unknown)
        assert first[:12] in refused.value.hint


def test_second_rollback_changes_nothing(two_pins: tuple[Clone, str, str]) -> None:
    clone, *_ = two_pins
    first = _back(clone)
    second = _back(clone)
    assert (second.tip, second.changed) == (first.tip, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"missing": ("s3://models lacks tiny-1.mar",)}, "lacks tiny-1.mar"),
        ({"missing": ("there is no torchserve@sha256:0",)}, "there is no torchserve"),
        ({"faults": ("Kustomization/efs: gone",)}, "gone"),
        ({"unsigned": ("it is not signed",)}, "it is not signed"),
        ({"unset": ("DOMAIN",)}, "UNSET: DOMAIN"),
    ],
)
def test_release_that_cannot_run_any_more_is_refused(
    two_pins: tuple[Clone, str, str], changes: dict[str, tuple[str, ...]], message: str
) -> None:
    clone, *_ = two_pins
    with pytest.raises(InputError, match=message):
        _back(clone, **changes)
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


def test_dirty_working_tree_is_refused(two_pins: tuple[Clone, str, str]) -> None:
    clone, *_ = two_pins
    clone.edit(POINTER, "interval: 1m", "interval: 2m")
    with pytest.raises(InputError, match="not committed"):
        _back(clone)


def test_environment_that_never_moved_has_nowhere_to_go(clone: Clone) -> None:
    with pytest.raises(UsageError, match="before this one"):
        _back(clone)
