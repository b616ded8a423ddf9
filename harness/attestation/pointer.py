"""An environment's pointer in Git's history: each move, and what main was before it.

What a move is verified by comes from the commit that main was before the merge: whoever proposes a
move may change everything else in the same pull request, but not that.
"""

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core import yamlfile
from harness.core.errors import InputError
from harness.core.git import Git
from harness.core.values import text

PINNED = ("spec", "ref", "commit")
"""The key of the commit in a pointer's file."""
SIGNATURE = ".sig"
"""The suffix of a signature's file, after the name of what it signs."""

_POINTER = "clusters/{}/release.yaml"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAINS = ("refs/remotes/origin/main", "refs/heads/main")


@dataclass(frozen=True, slots=True)
class Move:
    """One time that the pointer moved.

    Attributes:
        commit: what the environment has run since.
        moved_in: the commit that moved it.
        at: its date.
        by: its author; ``why``: its first line.
    """

    commit: str
    moved_in: str
    at: datetime.datetime
    by: str
    why: str


def path(env: str) -> str:
    """The file of an environment's pointer."""
    return _POINTER.format(env)


def evidence(env: str, commit: str) -> str:
    """The file of a release's evidence, its signature next to it."""
    return f"clusters/{env}/evidence/{commit}.json"


def read(source: str) -> str | None:
    """The commit that a release.yaml pins, as Flux reads it, or None while it is UNSET."""
    try:
        documents = yamlfile.parse(source, Path(_POINTER))
    except InputError:
        return None
    commits = [text(each.value, *PINNED) for each in documents]
    return next(filter(_COMMIT.fullmatch, commits), None)


def moves(git: Git, env: str, ref: str = "HEAD") -> Iterator[Move]:
    """Every move of an environment's pointer in the first-parent history, the newest first."""
    entries = git.log("--first-parent", ref, "--", path(env))
    commits = [read(git.read(each.commit, path(env)) or "") for each in entries]
    for entry, commit, before in zip(entries, commits, [*commits[1:], None], strict=True):
        if commit and commit != before:
            yield Move(commit, entry.commit, entry.at, entry.by, entry.subject)


def main(git: Git) -> str | None:
    """The commit that main is at: origin's as last fetched, or this clone's own."""
    return next(filter(None, map(git.resolve, _MAINS)), None)


def current_move(git: Git, env: str, commit: str) -> Move | None:
    """The newest move, if it is to ``commit``; None if the working tree moves the pointer."""
    newest = next(moves(git, env), None) if git.resolve("HEAD") else None
    return newest if newest and newest.commit == commit else None


def is_merged(git: Git, move: Move) -> bool:
    """Whether main has a move."""
    tip = main(git)
    return tip is not None and git.is_ancestor(move.moved_in, tip)


def before(git: Git, move: Move | None) -> str | None:
    """The commit that main was before a move: its first parent, or where an unmerged one left main.

    Args:
        git: the clone.
        move: None for one that is not committed yet.

    Returns:
        The commit, or None if the history does not reach back to it: its first commit, or a shallow
        clone's.
    """
    if move and is_merged(git, move):
        return git.resolve(f"{move.moved_in}^")
    tip = main(git)
    base = tip and git.run("merge-base", "HEAD", tip, accept=(0, 1, 128))
    return base or None


def is_shallow(git: Git) -> bool:
    """Whether the clone lacks the beginning of its history."""
    return git.run("rev-parse", "--is-shallow-repository", accept=(0, 128)) == "true"
