"""Whether the evidence next to a pointer is what a promotion writes, signed by an allowed signer.

    for key, complaint in verify.complaints(repository, "production", commit, text, signature): …

Everything that decides comes from the commit that main was before the move was merged: its signers
and its gates. A move that is not merged yet is verified by this machine's clock; one that is, by
the date of the commit that brought it to main, so that a key that expires or a report that ages
later changes nothing.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.attestation import pointer, record, signature
from harness.attestation.pointer import SIGNATURE, Move
from harness.attestation.record import Evidence
from harness.attestation.signature import SIGNERS, Signers
from harness.core.errors import HarnessError, InputError
from harness.core.git import Git
from harness.core.refusal import json_refusals
from harness.core.repository import Repository
from harness.core.values import KeyPath
from harness.render import digest
from harness.render.renderer import Renderer
from harness.settings import freeze, gates
from harness.settings.gates import Gates

Complaint = tuple[KeyPath | None, str]
"""The key of the evidence that is wrong, or None if the move itself is; and what is wrong."""

_SKEW = datetime.timedelta(minutes=5)  # between the API server's clock and the merger's
_UNSHALLOW = "git fetch --unshallow; in a workflow, fetch-depth: 0"


class HistoryError(HarnessError):
    """The clone's history does not reach back to the commit that main was before the move."""


@dataclass(frozen=True, slots=True)
class MergeBase:
    """What a move is verified against.

    Attributes:
        commit: what main was before it.
        moved_in: the commit of main that made it, or "" while it is not merged.
        at: when it reached main, or now while it has not.
    """

    commit: str
    moved_in: str
    at: datetime.datetime


def complaints(
    repository: Repository, env: str, commit: str, text: str, signed: str
) -> Iterator[Complaint]:
    """Why the evidence next to a pointer proves nothing.

    Args:
        repository: the clone.
        env: the environment.
        commit: what its pointer pins.
        text: the evidence in the working tree, or "" without any.
        signed: the signature next to it, likewise.

    Raises:
        HistoryError: the rest cannot be verified, since the history does not reach back so far.
    """
    if not text:
        yield None, f"no evidence of {commit[:12]}"
        return
    try:
        evidence = Evidence.model_validate_json(text)
    except ValidationError as error:
        for refusal in json_refusals(error, text, Evidence):
            yield refusal.path, refusal.message
        return
    yield from _content(evidence, env, commit)
    try:
        base = merge_base(repository, env, commit, text)
    except InputError as error:
        yield None, error.message
        return
    git, path = Git(repository.history), f"clusters/{env}/{gates.FILE}"
    settings = git.read(base.commit, path)
    if settings is None:
        yield None, f"main had no {path} before, in {base.commit[:12]}: nothing could be promoted"
        return
    required = gates.parse(settings, Path(path))
    yield from _signature(git, base, required, text, signed)
    yield from _dates(evidence, required, base.at)
    yield from _digest(repository, env, base, evidence)


def merge_base(repository: Repository, env: str, commit: str, text: str) -> MergeBase:
    """What a pointer that pins ``commit`` is verified against.

    Args:
        repository: the clone.
        env: the environment.
        commit: what it pins.
        text: the evidence in the working tree.

    Raises:
        HistoryError: the history does not reach back so far.
        InputError: the evidence existed before any pointer moved to its commit.
    """
    git = Git(repository.history)
    if pointer.main(git) is None:
        raise HistoryError("branch main not found", hint="git fetch origin main")
    return merge_base_of(git, env, commit, text, pointer.current_move(git, env, commit))


def merge_base_of(git: Git, env: str, commit: str, text: str, move: Move | None) -> MergeBase:
    """The same of one move in the history; None for one that is not committed.

    A move that brings evidence, or changes it, is a promotion. One that does not goes back to what
    was promoted before: a rollback, verified against the same as that promotion.
    """
    base = _before(git, move)
    evidence = pointer.evidence(env, commit)
    if git.read(base, evidence) != text:
        if move and pointer.is_merged(git, move):
            return MergeBase(base, move.moved_in, move.at)
        return MergeBase(base, "", datetime.datetime.now(datetime.UTC))
    for earlier in pointer.moves(git, env, base):
        if earlier.commit == commit and git.read(earlier.moved_in, evidence) == text:
            old = _before(git, earlier)
            if git.read(old, evidence) != text:
                return MergeBase(old, earlier.moved_in, earlier.at)
    if pointer.is_shallow(git):
        raise HistoryError("a shallow clone", hint=_UNSHALLOW)
    raise InputError("the evidence was on main before the pointer ever moved to this commit")


def _before(git: Git, move: Move | None) -> str:
    base = pointer.before(git, move)
    if base:
        return base
    if pointer.is_shallow(git):
        raise HistoryError("a shallow clone", hint=_UNSHALLOW)
    raise HistoryError("the first commit of this history pins it already")


def _content(evidence: Evidence, env: str, commit: str) -> Iterator[Complaint]:
    """What is wrong with the record by itself."""
    if evidence.commit != commit:
        yield ("commit",), f"is evidence of {evidence.commit[:12]}, not of {commit[:12]}"
    if evidence.environment != env:
        yield ("environment",), f"is evidence of {evidence.environment}, not of {env}"
    names = [gate.name for gate in evidence.gates]
    if missing := sorted(record.GATES[evidence.schema_version] - set(names)):
        yield ("gates",), f"lacks the gates {', '.join(missing)}"
    for index, gate in enumerate(evidence.gates):
        if not gate.passed:
            yield ("gates", index), f"gate {gate.name} was not passed: {gate.found}"
        if gate.name in names[:index]:
            yield ("gates", index), f"duplicate gate {gate.name}"


def _signature(
    git: Git, base: MergeBase, required: Gates, text: str, signed: str
) -> Iterator[Complaint]:
    if not signed and not required.signed_reports:
        return
    if not signed:
        yield None, f"the evidence is not signed: no {SIGNATURE} next to it"
        return
    try:
        signer(git, base, text, signed)
    except InputError as error:
        yield (), f"{error.message} ({SIGNERS} of {base.commit[:12]}, which main was before)"


def signer(git: Git, base: MergeBase, text: str, signed: str) -> str:
    """Whose signature the evidence has, of those who were allowed to sign when it was merged.

    Raises:
        InputError: it has none that counts.
    """
    signers = Signers(git.read(base.commit, SIGNERS) or "")
    return signers.verify(text, signed, signature.RELEASE, base.at)


def _dates(evidence: Evidence, required: Gates, at: datetime.datetime) -> Iterator[Complaint]:
    """What is too old, too early, or frozen at the moment of the merge."""
    yield from _age(("decided",), "decided", evidence.decided, at, required.merge_hours)
    for index, report in enumerate(evidence.reports):
        key, what = ("reports", index, "started"), f"{report.name} started"
        yield from _age(key, what, report.started, at, required.report_days * 24)
    window = freeze.window_at(required.freeze, at)
    if window and not evidence.override:
        yield ("decided",), f"merged at {at:%Y-%m-%d %H:%M} UTC, in a freeze: {window}"


def _age(
    key: KeyPath, what: str, moment: str, at: datetime.datetime, hours: float
) -> Iterator[Complaint]:
    """What is wrong with a time that may be ``hours`` before ``at``."""
    try:
        age = at - datetime.datetime.fromisoformat(moment)
    except (ValueError, TypeError, OverflowError):  # no date, or one without a time zone
        yield key, f"{moment!r} is not a time such as 2026-11-26T12:00:00+00:00"
        return
    if age > datetime.timedelta(hours=hours) + _SKEW:
        old = age.total_seconds() / 3600
        yield key, f"{what} {old:,.1f} h before the merge, {hours:g} h are allowed"
    if age < -_SKEW:
        yield key, f"{what} after the merge: a wrong clock?"


def _digest(
    repository: Repository, env: str, base: MergeBase, evidence: Evidence
) -> Iterator[Complaint]:
    """Whether the move makes the environment run what was evaluated."""
    environment = Renderer(repository).live(env, base.moved_in)
    if environment is None:
        yield ("digest",), f"{base.moved_in[:12]} pins nothing that renders"
        return
    old = evidence.schema_version == 1 and digest.matches(environment, evidence.digest)
    if not old and evidence.digest != (now := digest.release_digest(environment)):
        yield ("digest",), f"is of release {evidence.digest[:12]}, and {now[:12]} would run"
