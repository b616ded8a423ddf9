"""Promotion: production's gates are closed, and its pointer was moved through them."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.attestation import pointer
from harness.core.errors import InputError
from harness.core.problem import Location, Problem
from harness.core.values import KeyPath, dig, items, mapping, text
from harness.core.yamlfile import Document
from harness.policy.facts.quantity import number
from harness.policy.finding import Severity
from harness.policy.project import Project
from harness.policy.rule import rule

_GATES = "clusters/{}/promotion.yaml"
_SUBJECT = "GitRepository/flux-system/release"
_COMMIT = re.compile(r"[0-9a-f]{40}")


@rule(
    "promotion/gates",
    why="a release that nobody watched, or whose report anybody may have written, reaches users",
    fix="soakHours of 1 or more, signedReports: true, signedImage, no `embedded`, reports of at "
    "most 31 days, mergeHours of at most 168; who means otherwise takes an exception for the key",
)
def gates(project: Project) -> Iterator[Problem]:
    for env in project.environments:
        written = project.documents(_GATES.format(env))
        if not written and env in _pinning(project):
            yield Problem(f"{env} has no gates", Location(Path(pointer.path(env)), 1))
        for parsed in written:
            for key, message in _open(parsed):
                yield Problem(message, parsed.at((key,)), f"promotion.yaml/{key}")


def _pinning(project: Project) -> set[str]:
    """The environments whose pointer names a commit, or will: releases are promoted to them."""
    return {
        env
        for env in project.repository.environments
        for parsed in project.documents(pointer.path(env))
        if dig(parsed.value, *pointer.PINNED) is not None
    }


def _open(parsed: Document) -> Iterator[tuple[str, str]]:
    """The gates that stand open; what is not written has a default that does not."""
    soak, days = dig(parsed.value, "soakHours"), dig(parsed.value, "reportDays")
    hours = dig(parsed.value, "mergeHours")
    if isinstance(soak, int | float) and soak < 1:
        yield "soakHours", f"{soak} hours show nothing"
    if isinstance(days, int | float) and days > 31:
        yield "reportDays", f"after {days} days a load test is of another cluster"
    if isinstance(hours, int | float) and hours > 168:
        yield (
            "mergeHours",
            f"{hours} hours after they were evaluated, gates are out of date",
        )
    if not dig(parsed.value, "signedImage"):
        yield "signedImage", "nobody asks who built the image that runs"
    if dig(parsed.value, "signedReports") is False:
        yield "signedReports", "anybody can have written the report"
    if dig(parsed.value, "embedded") is True:
        yield "embedded", "a server on somebody's own machine proves nothing of the cluster"


@rule(
    "promotion/source",
    why="what proves nothing lets everything pass: an environment that is not there, the same one, "
    "or one without a cluster",
    fix="name in `from` the environment that runs a release first, usually staging; for a "
    "rehearsal on this machine take an exception",
)
def source(project: Project) -> Iterator[Problem]:
    for env, named in project.sources.items():
        if named and (message := project.unproven(env)):
            for parsed in project.documents(_GATES.format(env)):
                yield Problem(message, parsed.at(("from",)), "promotion.yaml/from")


@rule(
    "promotion/slos",
    why="promotion compares staging's report with the SLOs of the environment that takes the "
    "release: without one, every report passes",
    fix="write `slos` into clusters/<env>/loadtest.yaml: a latency and an errorRate below 0.5",
)
def slos(project: Project) -> Iterator[Problem]:
    for env in project.sources:
        path = f"clusters/{env}/loadtest.yaml"
        profiles = project.documents(path)
        if not profiles:
            yield Problem(f"{env} has no load profile", Location(Path(_GATES.format(env)), 1))
        for profile in profiles:
            limits = [mapping(each) for each in items(profile.value, "slos")]
            lax = [i for i, each in enumerate(limits) if number(each.get("errorRate"), 0) >= 0.5]
            for index in lax:
                where = profile.at(("slos", index, "errorRate"))
                yield Problem("lets half of all requests fail", where)
            if not any({"latency", "firstByte"} & each.keys() for each in limits):
                yield Problem(f"{env} limits no latency", profile.at(("slos",)))
            elif not any("errorRate" in each for each in limits):
                yield Problem(f"{env} limits no error rate", profile.at(("slos",)))


@rule(
    "promotion/evidence",
    why="a pointer that was moved by hand runs what nobody proved, and nobody can tell why",
    fix="move it by `harness release promote` or `rollback`, and merge that in time; a first "
    "release takes an exception",
)
def evidence(project: Project) -> Iterator[Problem]:
    for pin in _pins(project):
        from harness.attestation import verify  # brings pydantic: a third of a second

        complaints = verify.complaints(
            project.repository, pin.env, pin.commit, pin.text, pin.signed
        )
        with contextlib.suppress(verify.HistoryError):  # promotion/unverified says so
            for key, message in complaints:
                yield Problem(message, _place(project, pin, key), _SUBJECT)


@rule(
    "promotion/unverified",
    why="the signers and gates of the commit that main was before the merge decide, and this "
    "checkout does not have it: the evidence was read, and verified by nobody",
    fix="check where the history is: git fetch --unshallow; in a workflow, fetch-depth: 0",
    severity=Severity.WARNING,
)
def evidence_is_verifiable(project: Project) -> Iterator[Problem]:
    for pin in _pins(project):
        from harness.attestation import verify

        try:
            verify.merge_base(project.repository, pin.env, pin.commit, pin.text)
        except verify.HistoryError as error:
            message = f"the evidence of {pin.commit[:12]} cannot be verified: {error.message}"
            yield Problem(message, pin.at, _SUBJECT)
        except InputError:
            continue  # promotion/evidence says so


@dataclass(frozen=True, slots=True)
class _Pin:
    """An environment that takes promotions, the commit that it pins, and its evidence."""

    env: str
    commit: str
    at: Location
    text: str
    signed: str


def _pins(project: Project) -> Iterator[_Pin]:
    for env in project.repository.environments:
        for parsed in project.documents(pointer.path(env)):
            commit = text(parsed.value, *pointer.PINNED)
            if _COMMIT.fullmatch(commit):
                path = pointer.evidence(env, commit)
                texts = project.text(path), project.text(path + pointer.SIGNATURE)
                yield _Pin(env, commit, parsed.at(pointer.PINNED), *texts)


def _place(project: Project, pin: _Pin, key: KeyPath | None) -> Location:
    """The line of the evidence that a key stands in; the pointer's, for the move itself."""
    documents = project.documents(pointer.evidence(pin.env, pin.commit))
    return pin.at if key is None or not documents else documents[0].at(key)
