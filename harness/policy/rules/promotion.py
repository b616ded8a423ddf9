"""Promotion: production's gates are closed, and its pointer was moved through them."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from harness.core.errors import InputError, Location
from harness.core.repository import Repository
from harness.core.yamlfile import Document
from harness.policy.finding import Problem
from harness.policy.project import Project
from harness.policy.rule import rule
from harness.render.cache import Cache
from harness.render.objects import dig, text

_ENV = "production"
_GATES = f"clusters/{_ENV}/promotion.yaml"
_POINTER = f"clusters/{_ENV}/release.yaml"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LINE = re.compile(r"[^\n]*?:(\d+): ")


@rule(
    "promotion/gates",
    why="a release that nobody watched, or whose report anybody may have written, reaches users",
    fix="soakHours of 1 or more, signedReports: true, no `embedded`, reports of at most 31 days",
)
def gates(project: Project) -> Iterator[Problem]:
    if _ENV not in project.environments:
        return
    written = project.documents(_GATES)
    if not written:
        yield Problem("production has no gates", Location(Path(_POINTER), 1))
    for parsed in written:
        for key, message in _open(parsed):
            yield Problem(message, parsed.at((key,)))


def _open(parsed: Document) -> Iterator[tuple[str, str]]:
    """The gates that stand open; what is not written has a default that does not."""
    soak, days = dig(parsed.value, "soakHours"), dig(parsed.value, "reportDays")
    if isinstance(soak, int | float) and soak < 1:
        yield "soakHours", f"{soak} hours show nothing"
    if isinstance(days, int | float) and days > 31:
        yield "reportDays", f"after {days} days a load test is of another cluster"
    if dig(parsed.value, "signedReports") is False:
        yield "signedReports", "anybody can have written the report"
    if dig(parsed.value, "embedded") is True:
        yield "embedded", "a server on somebody's own machine proves nothing of the cluster"


@rule(
    "promotion/readable",
    why="`harness promote` reads the gates first: with a typo in them nothing can be promoted",
    fix="correct the file; docs/promotion.md describes every key",
)
def readable(project: Project) -> Iterator[Problem]:
    if project.documents(_GATES):
        for line, message in _judged(project.repository):
            yield Problem(message, Location(Path(_GATES), line))


def _judged(repository: Repository) -> list[tuple[int, str]]:
    """What the typed model says; kept, since pydantic takes a third of a second to import."""
    read = (repository.root / _GATES, *(Path(__file__).parents[2] / f for f in _READERS))
    state = hashlib.sha256(b"\0".join(file.read_bytes() for file in read)).hexdigest()
    found = Cache(repository).get(f"gates {state}", lambda: _judge(repository))
    return cast("list[tuple[int, str]]", found)


_READERS = ("gates.py", "freeze.py")


def _judge(repository: Repository) -> list[tuple[int, str]]:
    from harness import gates as settings

    try:
        settings.load(repository, _ENV)
    except InputError as error:
        lines = error.message.splitlines()
        return [(int(at[1]) if (at := _LINE.match(x)) else 1, _LINE.sub("", x)) for x in lines]
    return []


@rule(
    "promotion/evidence",
    why="a pointer that was moved by hand runs what nobody proved, and nobody can tell why",
    fix="move it by `harness promote` or `harness rollback`; a first release takes an exception",
)
def evidence(project: Project) -> Iterator[Problem]:
    for parsed in project.documents(_POINTER) if _ENV in project.environments else ():
        commit = text(parsed.value, "spec", "ref", "commit")
        path = f"clusters/{_ENV}/evidence/{commit}.json"
        if _COMMIT.fullmatch(commit) and not _is_about(project.text(path), commit):
            message = f"there is no evidence of {commit[:12]}"
            at = parsed.at(("spec", "ref", "commit"))
            yield Problem(message, at, "GitRepository/flux-system/release")


def _is_about(written: str, commit: str) -> bool:
    try:
        told = json.loads(written)
    except ValueError:
        return False
    return text(told, "commit") == commit and text(told, "environment") == _ENV
