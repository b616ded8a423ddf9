"""Where main stands, and the branch that a moved pointer waits on for its pull request."""

from dataclasses import dataclass

from harness.attestation import pointer
from harness.core import command
from harness.core.errors import HarnessError, InputError
from harness.core.git import Changes, Git
from harness.core.words import amount

_REMOTE = "origin"
_MAIN = "main"
_FETCH_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """The shared history: origin's after a fetch, or this clone's own without an origin.

    Attributes:
        git: the clone.
        remote: whether there is an origin.
    """

    git: Git
    remote: bool

    @property
    def main(self) -> str:
        """The commit that main is at.

        Raises:
            InputError: there is no main.
        """
        commit = self.git.resolve(self._ref(_MAIN))
        if commit is None:
            raise InputError("branch main not found", hint="git fetch origin main")
        return commit

    def complaint(self) -> str:
        """Why the working tree is not a clean, current main, or "" if it is."""
        branch = self.git.run("symbolic-ref", "--short", "--quiet", "HEAD", accept=(0, 1))
        changes = self.git.run("status", "--porcelain").splitlines()
        head = self.git.resolve("HEAD") or ""
        if branch != _MAIN:
            return f"on {branch or 'no branch'}, not on main"
        if changes:
            uncommitted = amount(len(changes), "file is", "files are")
            return f"{uncommitted} not committed, the first: {changes[0][3:]}"
        if head != self.main:
            return f"main is at {head[:12]} in this clone, and at {self.main[:12]} upstream"
        return ""

    def reaches(self, commit: str) -> bool:
        """Whether a commit is in main or in a release branch, which nobody rewrites."""
        releases = self.git.run(
            "for-each-ref", "--format=%(objectname)", self._ref("release")
        ).splitlines()
        return any(self.git.is_ancestor(commit, tip) for tip in (self.main, *releases))

    def unmerged_tip(self, branch: str) -> str | None:
        """The tip of a branch that is not merged yet, in this clone or upstream, or None."""
        for ref in (f"refs/heads/{branch}", self._ref(branch)):
            tip = self.git.resolve(ref)
            if tip and not self._is_merged(tip):
                return tip
        return None

    def _is_merged(self, tip: str) -> bool:
        """Whether main has all that a branch brings: its commits, or the same change squashed.

        `git cherry` compares changes, not commits; of the one commit on a branch of ours, squashing
        makes another commit with the same change.
        """
        if self.git.is_ancestor(tip, self.main):
            return True
        lines = self.git.run("cherry", self.main, tip).splitlines()
        return bool(lines) and all(line.startswith("-") for line in lines)

    def _ref(self, branch: str) -> str:
        return f"refs/remotes/{_REMOTE}/{branch}" if self.remote else f"refs/heads/{branch}"


def upstream(git: Git) -> Upstream:
    """The shared history, fetched first.

    Raises:
        HarnessError: origin does not answer.
    """
    if _REMOTE not in git.run("remote").split():
        return Upstream(git, remote=False)
    try:
        git.run("fetch", "--quiet", "--prune", _REMOTE, seconds=_FETCH_SECONDS)
    except command.CommandError as error:
        raise HarnessError(
            f"origin cannot be fetched\n{error.message}", hint="git fetch origin"
        ) from error
    return Upstream(git, remote=True)


@dataclass(frozen=True, slots=True)
class Branch:
    """``promote/production``, or ``rollback/production``: one pointer that waits to be merged.

    Attributes:
        known_tip: where the branch was in this clone when ``of`` looked, or None if nowhere.
    """

    upstream: Upstream
    env: str
    name: str
    known_tip: str | None

    @classmethod
    def of(cls, upstream: Upstream, env: str, verb: str) -> "Branch":
        """The branch that a verb leaves its commit on."""
        name = f"{verb}/{env}"
        return cls(upstream, env, name, upstream.git.resolve(f"refs/heads/{name}"))

    def tip(self, commit: str, *, replace: bool = False) -> str | None:
        """What waits on the branch, if it moves the pointer to ``commit`` too.

        Raises:
            InputError: it moves the pointer to another commit.
        """
        waiting = self.upstream.unmerged_tip(self.name)
        if waiting is None:
            return None
        other = self.upstream.git.read(waiting, pointer.path(self.env)) or ""
        if pointer.read(other) != commit and not replace:
            raise InputError(
                f"branch {self.name} already moves {self.env} to "
                f"{(pointer.read(other) or 'nothing')[:12]}",
                hint=f"merge it or delete it first ({self._delete()}), or --replace it",
            )
        return waiting

    def _delete(self) -> str:
        """The command that deletes the branch where it is."""
        local = self.upstream.git.resolve(f"refs/heads/{self.name}")
        return f"git branch -D {self.name}" if local else f"git push {_REMOTE} --delete {self.name}"

    def commit(self, changes: Changes, message: str) -> str:
        """Commit on top of main and set the branch to it.

        Raises:
            InputError: somebody else set it since ``known_tip``.
        """
        git = self.upstream.git
        commit = git.commit(changes, message, parent=self.upstream.main)
        try:
            git.move(f"refs/heads/{self.name}", commit, old=self.known_tip)
        except command.CommandError as error:
            raise InputError(
                f"branch {self.name} was set by somebody else meanwhile",
                hint=f"inspect it: git log -1 {self.name}",
            ) from error
        return commit

    def push(self, commit: str) -> None:
        """Push the branch, if main has not moved.

        Raises:
            InputError: main has moved, or somebody else pushed the branch.
        """
        git = self.upstream.git
        parent = git.run("rev-parse", f"{commit}^")
        if (now := upstream(git).main) != parent:
            raise InputError(
                f"main moved to {now[:12]} meanwhile", hint="git pull, then run the command again"
            )
        upstream_tip = git.resolve(f"refs/remotes/{_REMOTE}/{self.name}") or ""
        lease = f"--force-with-lease=refs/heads/{self.name}:{upstream_tip}"
        try:
            git.run("push", "--quiet", lease, _REMOTE, f"{commit}:refs/heads/{self.name}")
        except command.CommandError as error:
            raise InputError(
                f"branch {self.name} cannot be pushed\n{error.message}",
                hint="somebody else may have: git fetch origin",
            ) from error
