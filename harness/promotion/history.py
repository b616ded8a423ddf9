"""Which commits an environment pinned, when, and what was known of each: Git remembers it all."""

import datetime
from dataclasses import dataclass

from pydantic import ValidationError

from harness.attestation import pointer, verify
from harness.attestation.pointer import SIGNATURE, Move
from harness.attestation.record import Evidence
from harness.core.errors import HarnessError
from harness.core.git import Git
from harness.core.repository import Repository


@dataclass(frozen=True, slots=True)
class Pinned:
    """One time that the pointer moved.

    Attributes:
        commit: what the environment runs since.
        at: when the commit that moved it was made.
        by: who made it, and ``moved_in`` its name.
        why: its first line.
        evidence: what stands beside the pointer; None where nothing does.
        signed_by: whose signature the evidence has; None where it has none that counted when it
            was merged.
    """

    commit: str
    at: datetime.datetime
    by: str
    moved_in: str
    why: str
    evidence: Evidence | None
    signed_by: str | None


def pinned(repository: Repository, env: str, ref: str = "HEAD") -> list[Pinned]:
    """Every move of an environment's pointer, the newest first."""
    git = Git(repository.root)
    return [_pinned(git, env, move, ref) for move in pointer.moves(git, env, ref)]


def _pinned(git: Git, env: str, move: Move, ref: str) -> Pinned:
    known, signed_by = _evidence(git, env, move, ref)
    return Pinned(move.commit, move.at, move.by, move.moved_in, move.why, known, signed_by)


def _evidence(git: Git, env: str, move: Move, ref: str) -> tuple[Evidence | None, str | None]:
    path = pointer.evidence(env, move.commit)
    text = git.read(ref, path)
    if text is None:
        return None, None
    try:
        known = Evidence.model_validate_json(text)
    except ValidationError:
        return None, None
    try:
        ground = verify.ground_of(git, env, move.commit, text, move)
        signed = git.read(ref, path + SIGNATURE) or ""
        return known, verify.signer(git, ground, text, signed)
    except HarnessError:
        return known, None
