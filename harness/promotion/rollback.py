"""Points an environment back at a release that it ran before.

Nothing is proven anew: the release was, when it came. What is asked is whether it can still run:
that it renders with today's site values, and that its archives and its image are still there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.errors import InputError, UsageError
from harness.core.repository import Repository
from harness.promotion import promote
from harness.promotion.branch import Branch
from harness.promotion.case import Candidate
from harness.promotion.history import Pinned
from harness.render import diff
from harness.render.renderer import Renderer, pinned_commit


@dataclass(frozen=True, slots=True)
class Rollback:
    """What was done: the release that comes back, and the commit on the branch."""

    commit: str
    replaces: str
    branch: str
    made: str
    changed: bool


def rollback(
    repository: Repository,
    branch: Branch,
    release: Pinned,
    found: Candidate,
    reason: str,
    *,
    replace: bool = False,
) -> Rollback:
    """Commit the pointer's way back.

    Args:
        repository: the checkout.
        branch: where the commit goes.
        release: what comes back, as ``chosen`` picks it.
        found: whether it can run, as ``gather.candidate`` finds it.
        reason: why, for the log.
        replace: another rollback that waits on the branch is given up.

    Raises:
        InputError: it cannot run any more, or the checkout is not a clean main.
    """
    env, upstream = branch.env, branch.upstream
    if complaint := upstream.complaint():
        raise InputError(complaint, hint="git switch main; git pull; commit or stash")
    if not upstream.reaches(release.commit):
        raise InputError(
            f"{release.commit[:12]} is neither in main nor in a release/* branch",
            hint="Flux cannot fetch it: roll back further, --to COMMIT",
        )
    if wrong := _impossible(found):
        raise InputError("\n".join(wrong), hint="roll back further: --to COMMIT")
    renderer = Renderer(repository)
    now = pinned_commit(renderer.tree, env) or ""
    waiting = branch.tip(release.commit, replace=replace)
    if waiting and upstream.git.resolve(f"{waiting}^") == upstream.main:
        return Rollback(release.commit, now, branch.name, waiting, changed=False)
    message = "\n".join(_message(env, release, now, reason, found, renderer))
    made = branch.commit(promote.moved(repository, env, release.commit), message)
    return Rollback(release.commit, now, branch.name, made, changed=True)


def chosen(recorded: Sequence[Pinned], to: str = "") -> Pinned:
    """The release to go back to.

    Args:
        recorded: every move of the pointer, the newest first: the first is what runs.
        to: the beginning of a commit; the release before the one that runs, unless told.

    Raises:
        UsageError: there is no such release.
    """
    others = [each for each in recorded if each.commit != recorded[0].commit]
    found = [each for each in others if each.commit.startswith(to)]
    if not found:
        have = ", ".join(dict.fromkeys(each.commit[:12] for each in others)) or "none"
        raise UsageError(
            f"no recorded release {to or 'before this one'}", hint=f"there are: {have}"
        )
    return found[0]


def _impossible(found: Candidate) -> list[str]:
    """Why a release cannot run."""
    return [
        *found.faults,
        *(f"UNSET: {each}" for each in found.unset),
        *found.missing,
        *found.unsigned,
    ]


def _message(
    env: str,
    release: Pinned,
    now: str,
    reason: str,
    found: Candidate,
    renderer: Renderer,
) -> list[str]:
    lines = [
        f"Roll {env} back to {release.commit[:12]}",
        "",
        f"reason    {reason}",
        f"release   {found.digest}",
        f"commit    {release.commit}",
        f"replaces  {now or '-'}",
        f"ran since {release.at:%Y-%m-%d %H:%M %z}",
        "",
    ]
    old, new = renderer.live(env), renderer.pinning(env, release.commit)
    return [*lines, *(diff.as_markdown(old, new).splitlines() if old else [])]
