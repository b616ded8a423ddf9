"""Which commits an environment pinned, when, and what was known of each: Git remembers it all."""

import datetime
import re
from dataclasses import dataclass

from pydantic import ValidationError

from harness.core.errors import InputError
from harness.core.git import Git
from harness.core.repository import Repository
from harness.promotion import evidence, signature
from harness.promotion.evidence import SIGNATURE, Evidence
from harness.promotion.signature import Signers

SIGNERS = "clusters/allowed_signers"
_POINTER = "clusters/{}/release.yaml"
_COMMIT = re.compile(r'^    commit: "?([0-9a-f]{40})"?\s*$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pinned:
    """One time that the pointer moved.

    Attributes:
        commit: what the environment runs since.
        at: when the commit that moved it was made.
        by: who made it, and ``moved_in`` its name.
        why: its first line.
        evidence: what stands beside the pointer; None where nothing does.
        signed_by: whose signature the evidence has; None where it has none that counts.
    """

    commit: str
    at: datetime.datetime
    by: str
    moved_in: str
    why: str
    evidence: Evidence | None
    signed_by: str | None


def pointer(text: str) -> str | None:
    """The commit that a release.yaml pins; None while it is UNSET."""
    found = _COMMIT.search(text)
    return found[1] if found else None


def pinned(repository: Repository, env: str, ref: str = "HEAD") -> list[Pinned]:
    """Every move of an environment's pointer, the newest first."""
    git = Git(repository.root)
    signers = Signers(git.read(ref, SIGNERS) or "")
    moves: list[Pinned] = []
    path = _POINTER.format(env)
    for entry in reversed(git.log("--first-parent", ref, "--", path)):
        commit = pointer(git.read(entry.commit, path) or "")
        if commit and not (moves and moves[-1].commit == commit):
            known, signed_by = _evidence(git, env, commit, ref, signers)
            why = entry.subject
            moves.append(Pinned(commit, entry.at, entry.by, entry.commit, why, known, signed_by))
    return moves[::-1]


def _evidence(
    git: Git, env: str, commit: str, ref: str, signers: Signers
) -> tuple[Evidence | None, str | None]:
    path = evidence.path(env, commit)
    text = git.read(ref, path)
    if text is None:
        return None, None
    try:
        known = Evidence.model_validate_json(text)
    except ValidationError:
        return None, None
    signed = git.read(ref, path + SIGNATURE)
    if signed is None:
        return known, None
    at = datetime.datetime.fromisoformat(known.decided)
    try:
        return known, signers.verify(text, signed, signature.RELEASE, at)
    except InputError:
        return known, None
