"""Which commits an environment pinned, when, and the evidence of each, from Git's history."""

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
class Pin:
    """One time that the pointer moved.

    Attributes:
        commit: what the environment has run since.
        at: the date of the commit that moved it.
        by: its author; ``moved_in``: its name.
        why: its first line.
        evidence: next to the pointer, or None if there is none.
        signed_by: whose signature the evidence has, or None if it has none that counted when it
            was merged.
    """

    commit: str
    at: datetime.datetime
    by: str
    moved_in: str
    why: str
    evidence: Evidence | None
    signed_by: str | None


def pins(repository: Repository, env: str, ref: str = "HEAD") -> list[Pin]:
    """Every move of an environment's pointer, the newest first."""
    git = Git(repository.root)
    return [_pin(git, env, move, ref) for move in pointer.moves(git, env, ref)]


def _pin(git: Git, env: str, move: Move, ref: str) -> Pin:
    evidence, signed_by = _evidence(git, env, move, ref)
    return Pin(move.commit, move.at, move.by, move.moved_in, move.why, evidence, signed_by)


def _evidence(git: Git, env: str, move: Move, ref: str) -> tuple[Evidence | None, str | None]:
    path = pointer.evidence(env, move.commit)
    text = git.read(ref, path)
    if text is None:
        return None, None
    try:
        evidence = Evidence.model_validate_json(text)
    except ValidationError:
        return None, None
    try:
        base = verify.merge_base_of(git, env, move.commit, text, move)
        signed = git.read(ref, path + SIGNATURE) or ""
        return evidence, verify.signer(git, base, text, signed)
    except HarnessError:
        return evidence, None
