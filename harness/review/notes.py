"""The notes of a release: what the last move of an environment's pointer brought to it.

    moved = notes.last_move(Renderer(repository), "production")
    text = notes.page(moved)

A pointer that moves back is a release too: its notes say what is taken away.
"""

from dataclasses import dataclass

from harness.core.errors import InputError
from harness.core.git import Git
from harness.render import diff
from harness.render.rendered import Environment
from harness.render.renderer import Renderer, pinned_commit
from harness.review.markdown import Page, word

LIMIT = 60_000  # characters; half of what GitHub takes for the text of a release
_SHOWN = 12  # digits of a commit


@dataclass(frozen=True)
class Move:
    """A pointer that moved.

    Attributes:
        env: whose.
        day: of the commit that moved it, such as ``2026-11-26``.
        old: the commit that it named before; empty for the first release.
        new: the one that it names since.
        commits: what lies between them, newest first: a line each.
        before: what ran, rendered.
        after: what runs since.
    """

    env: str
    day: str
    old: str
    new: str
    commits: tuple[str, ...]
    back: bool
    before: Environment
    after: Environment


def last_move(renderer: Renderer, env: str) -> Move:
    """The last commit that changed where ``clusters/<env>/release.yaml`` points.

    Raises:
        InputError: it pins no commit.
        UsageError: a commit is not in this checkout.
    """
    git = Git(renderer.repository.root)
    path = renderer.repository.cluster(env).relative_to(renderer.repository.root) / "release.yaml"
    moved = git.run("log", "-1", "--format=%H", "--", str(path))
    after = renderer.live(env, moved) if moved else None
    new = pinned_commit(renderer.commit(moved), env) if moved else None
    if after is None or new is None:
        raise InputError(
            "pins no commit, so nothing was released", at=path, hint="`make promote` moves it"
        )
    parent = git.resolve(f"{moved}^")
    old = pinned_commit(renderer.commit(parent), env) if parent else None
    before = renderer.live(env, parent) if parent else None
    back = bool(old) and git.is_ancestor(new, str(old))
    between = f"{new}..{old}" if back else f"{old}..{new}"
    words = ("log", "--first-parent", "--no-decorate", "--format=%h %s", between, "--")
    return Move(
        env=env,
        day=git.run("log", "-1", "--format=%cs", moved),
        old=old or "",
        new=new,
        commits=tuple(git.run(*words).splitlines()) if old else (),
        back=back,
        before=before or Environment(env, "", ()),
        after=after,
    )


def page(move: Move) -> str:
    """The notes, as Markdown."""
    text = Page(LIMIT)
    since = f"before it `{move.old[:_SHOWN]}`" if move.old else "the first release"
    text.add(f"{word(move.env)} runs `{move.new[:_SHOWN]}` since {move.day}; {since}.")
    changes = diff.compare(move.before, move.after)
    dangers = [f"{each.kind}: {each.object}: {each.message}" for each in diff.dangers(changes)]
    log = f"git log {move.old[:_SHOWN]}..{move.new[:_SHOWN]}"
    if dangers:
        text.add("## Look at these first")
        text.quote(dangers, rest=log, room=text.remaining // 2)
    if move.commits:
        text.add("## Taken away" if move.back else "## Commits")
        text.quote(move.commits, rest=log, room=text.remaining // 2)
    text.add(f"## {diff.count(changes)}" if changes else "## No object differs")
    lines = [line for each in changes for line in diff.format_change(each)]
    text.quote(lines, rest="harness diff")
    return str(text)
