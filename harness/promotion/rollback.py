"""Points an environment back at a release that it ran before.

Nothing is proven again: the release was, when it came. What is checked is whether it can still run:
that it renders with today's site values, and that its archives and its image still exist.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.errors import InputError, UsageError
from harness.core.repository import Repository
from harness.promotion import promote
from harness.promotion.branch import Branch
from harness.promotion.gate_inputs import Candidate
from harness.promotion.history import Pin
from harness.render import diff


@dataclass(frozen=True, slots=True)
class Rollback:
    """The release that comes back, and ``tip``, the commit on the branch that does it."""

    commit: str
    replaces: str
    branch: str
    tip: str
    changed: bool


def rollback(
    repository: Repository,
    branch: Branch,
    pin: Pin,
    candidate: Candidate,
    reason: str,
    *,
    replace: bool = False,
) -> Rollback:
    """Commit the pointer's way back.

    Args:
        repository: the checkout.
        branch: where the commit goes.
        pin: the release that comes back, as ``choose`` picks it.
        candidate: whether it can run, as ``collect.candidate`` makes it.
        reason: why, for the log.
        replace: give up another rollback that waits on the branch.

    Raises:
        InputError: it cannot run any more, or the working tree is not a clean main.
    """
    env, upstream = branch.env, branch.upstream
    if complaint := upstream.complaint():
        raise InputError(complaint, hint="git switch main; git pull; commit or stash")
    if not upstream.reaches(pin.commit):
        raise InputError(
            f"{pin.commit[:12]} is neither in main nor in a release/* branch",
            hint="Flux cannot fetch it: roll back further, --to COMMIT",
        )
    if problems := _problems(candidate):
        raise InputError("\n".join(problems), hint="roll back further: --to COMMIT")
    replaces = candidate.replaces or ""
    waiting = branch.tip(pin.commit, replace=replace)
    if waiting and upstream.git.resolve(f"{waiting}^") == upstream.main:
        return Rollback(pin.commit, replaces, branch.name, waiting, changed=False)
    message = "\n".join(_message(env, pin, reason, candidate))
    tip = branch.commit(promote.pointer_change(repository, env, pin.commit), message)
    return Rollback(pin.commit, replaces, branch.name, tip, changed=True)


def choose(pins: Sequence[Pin], to: str = "") -> Pin:
    """The release to go back to.

    Args:
        pins: every move of the pointer, the newest first: the first is what runs.
        to: the beginning of a commit; by default, the release before the one that runs.

    Raises:
        UsageError: no release of that name.
    """
    others = [each for each in pins if each.commit != pins[0].commit]
    matches = [each for each in others if each.commit.startswith(to)]
    if not matches:
        names = ", ".join(dict.fromkeys(each.commit[:12] for each in others)) or "none"
        raise UsageError(
            f"no recorded release {to or 'before this one'}", hint=f"recorded: {names}"
        )
    return matches[0]


def _problems(candidate: Candidate) -> list[str]:
    """Why a release cannot run."""
    return [
        *candidate.faults,
        *(f"UNSET: {each}" for each in candidate.unset),
        *candidate.missing,
        *candidate.unsigned,
    ]


def _message(env: str, pin: Pin, reason: str, candidate: Candidate) -> list[str]:
    lines = [
        f"Roll {env} back to {pin.commit[:12]}",
        "",
        f"reason    {reason}",
        f"release   {candidate.digest}",
        f"commit    {pin.commit}",
        f"replaces  {candidate.replaces or '-'}",
        f"ran since {pin.at:%Y-%m-%d %H:%M %z}",
        "",
    ]
    old, new = candidate.old, candidate.new
    return [*lines, *(diff.as_markdown(old, new).splitlines() if old else [])]
