"""Workflows: what runs with the rights of a cloud, an environment or this repository."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.problem import Problem
from harness.core.values import KeyPath, Value, items, mapping, text
from harness.core.yamlfile import Document
from harness.policy.facts.identity import Names
from harness.policy.project import Project
from harness.policy.rule import rule

_FOLDER = ".github/workflows"
# Actions that make a job somebody in a cloud, by a part of their names.
_BECOMES = ("aws-actions/configure-aws-credentials", "azure/login", "google-github-actions/auth")
_OURS = re.compile(r"\./|docker://[^@]+@sha256:[0-9a-f]{64}$")
_COMMIT = re.compile(r"[^@]+@[0-9a-f]{40}$")
_UNTRUSTED = ("pull_request_target", "workflow_run", "issue_comment")
_STRANGERS = ("github.event.pull_request.head", "github.head_ref", "workflow_run.head")
_EVERYTHING = ("write-all", "read-all")
_TARGET = ("TO", "ENV")  # variables that name the environment that a job acts on


@dataclass(frozen=True, slots=True)
class _Job:
    """A job of a workflow: ``path`` leads to it."""

    document: Document
    name: str

    @property
    def path(self) -> KeyPath:
        return ("jobs", self.name)

    @property
    def content(self) -> Value:
        return mapping(self.document.value, *self.path)

    @property
    def environment(self) -> str:
        """GitHub's environment, whose rules and reviewers hold for the job."""
        return text(self.content, "environment") or text(self.content, "environment", "name")

    def steps(self) -> Iterator[tuple[KeyPath, Value]]:
        for index, step in enumerate(items(self.content, "steps")):
            yield (*self.path, "steps", index), mapping(step)

    def problem(self, message: str, *path: str) -> Problem:
        return Problem(f"job {self.name}: {message}", self.document.at((*self.path, *path)))


def _workflows(project: Project) -> Iterator[Document]:
    for path in sorted((project.repository.root / _FOLDER).glob("*.y*ml")):
        yield from project.documents(f"{_FOLDER}/{path.name}")


def _jobs(document: Document) -> Iterator[_Job]:
    return (_Job(document, str(name)) for name in mapping(document.value, "jobs"))


@rule(
    "workflows/reviewed",
    why="GitHub asks reviewers, and AWS lets a role be taken, by the environment of a job: without "
    "it, or in another one, nobody approves a promotion",
    fix="environment: the one on which the job acts (ENV-read for a job that only looks); "
    "docs/workflows.md lists them",
)
def reviewed(project: Project) -> Iterator[Problem]:
    names = Names(tuple(project.repository.environments))
    for document in _workflows(project):
        for job in _jobs(document):
            uses = [text(step, "uses").partition("@")[0] for _, step in job.steps()]
            if any(each in _BECOMES for each in uses) and not job.environment:
                yield job.problem("becomes a role without the environment of which it is one")
            variables = mapping(job.content, "env")
            acted = next((text(variables, key) for key in _TARGET if variables.get(key)), "")
            writes = "write" in {text(job.content, "permissions", key) for key in ("contents",)}
            if acted in names.environments and writes and job.environment not in ("", acted):
                message = f"writes for {acted} in the environment {job.environment}"
                yield job.problem(message, "environment")


@rule(
    "workflows/least-privilege",
    why="what a workflow may do, everything that it starts may do: a package, an action, a test",
    fix="permissions: {} for the workflow, and each job the few that it needs",
    like=("zizmor excessive-permissions",),
)
def least_privilege(project: Project) -> Iterator[Problem]:
    for document in _workflows(project):
        top = mapping(document.value).get("permissions")
        jobs = list(_jobs(document))
        if top is None and any("permissions" not in job.content for job in jobs):
            message = "has the repository's default permissions, which may be to write everything"
            yield Problem(message, document.at(("jobs",)))
        elif top in _EVERYTHING:
            yield Problem(f"permissions are {top}", document.at(("permissions",)))
        for job in jobs:
            if (granted := job.content.get("permissions")) in _EVERYTHING:
                yield job.problem(f"permissions are {granted}", "permissions")


@rule(
    "workflows/pinned",
    why="a tag of an action moves: whoever controls its repository runs code with the rights here",
    fix="uses: OWNER/ACTION@<40 digits of a commit> # v1.2.3; Renovate keeps them current",
    like=("zizmor unpinned-uses", "OpenSSF Scorecard Pinned-Dependencies"),
)
def pinned(project: Project) -> Iterator[Problem]:
    for document in _workflows(project):
        for job in _jobs(document):
            used = [(job.path, job.content), *job.steps()]
            for path, step in used:
                action = text(step, "uses")
                if action and not (_OURS.match(action) or _COMMIT.match(action)):
                    message = f"{action} is not pinned by a commit"
                    yield Problem(message, document.at((*path, "uses")))


@rule(
    "workflows/strangers",
    why="these events run with the repository's secrets for whoever opens a pull request or writes "
    "a comment: code of theirs that is checked out has them",
    fix="run it on pull_request, which has no secrets, or check out main alone",
    like=("zizmor dangerous-triggers",),
)
def strangers(project: Project) -> Iterator[Problem]:
    for document in _workflows(project):
        content = mapping(document.value)
        events = content.get("on", content.get(True))  # type: ignore[call-overload]
        words = events if isinstance(events, list | dict) else [events]
        dangerous = [each for each in _UNTRUSTED if each in words]
        for job in _jobs(document) if dangerous else ():
            for path, step in job.steps():
                ref = text(step, "with", "ref")
                if any(each in ref for each in _STRANGERS):
                    message = f"checks out a stranger's commit on {dangerous[0]}"
                    yield Problem(message, document.at((*path, "with", "ref")))
