"""The repository that a local cluster follows: bare, made here, with throw-away commits.

The user's checkout is only read: commits are made here, each with an index of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core import command
from harness.core.git import Changes, Git
from harness.core.repository import Repository
from harness.render import artifact, layout

NAME = "repository.git"
MAIN = "main"
_MAIN = f"refs/heads/{MAIN}"
_SECONDS = 60
_WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "harness"), ("EMAIL", "harness@localhost"))
}


@dataclass(frozen=True, slots=True)
class Bare:
    """A bare repository on disk."""

    path: Path

    @property
    def git(self) -> Git:
        """Its plumbing."""
        return Git(self.path)

    def head(self) -> str:
        """The commit that main is at."""
        return self.git.run("rev-parse", _MAIN)

    def commit(self, changes: Changes, message: str) -> str:
        """Commit files on top of main and return the commit."""
        with self.git.index() as env:
            self.git.run("read-tree", _MAIN, env=env)
            self.git.stage(changes, env)
            return self._commit_index(message, env)

    def take(self, checkout: Repository, changes: Changes) -> str:
        """Commit the checkout's working tree, with ``changes`` on top, to main; return the commit.

        A tree that is main's already makes no new commit.
        """
        with self.git.index() as env:
            self._run_in_worktree(checkout.root, "add", "--all", ".", env=env)
            self.git.stage(changes, env)
            return self._commit_index("The working tree", env)

    def restore(self, commit: str) -> str:
        """Commit an earlier commit's files on top of main and return the new commit.

        Where main has those files already, it stays where it is.
        """
        with self.git.index() as env:
            self.git.run("read-tree", commit, env=env)
            return self._commit_index(f"Back to {commit[:12]}", env)

    def sign(self, commit: str, key: Path, *, branch: str) -> str:
        """Commit a commit's files again with an SSH signature; return the new commit.

        Args:
            commit: whose files, and whose parent the new one gets.
            key: the private key.
            branch: what is set to the new commit.
        """
        signing = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}")
        words = (*signing, "commit-tree", "-S", f"{commit}^{{tree}}", "-p", commit, "-m", "Signed")
        signed = self.git.run(*words, env=_WHO)
        self.move(branch, signed)
        return signed

    def move(self, branch: str, commit: str) -> None:
        """Set a branch to a commit."""
        self.git.run("update-ref", f"refs/heads/{branch}", commit)

    def read(self, path: str) -> str:
        """A file as main has it; it has to be there."""
        text = self.git.read(_MAIN, path)
        assert text is not None, f"{MAIN} has no {path}"  # noqa: S101
        return text

    def files(self, folder: str) -> list[str]:
        """The paths below a folder, as main has them."""
        return self.git.files(_MAIN, folder)

    def export(self, commit: str, folder: Path) -> None:
        """Lay out a commit's files in a folder that has none: of what Flux reads, what it gets."""
        others = (
            each
            for each in self.git.entries(commit)
            if each.is_file and not each.path.startswith(artifact.FOLDERS)
        )
        layout.lay_out(self.git, [*layout.artifact_entries(self.git, commit), *others], folder)

    def _run_in_worktree(self, folder: Path, *words: str, env: Mapping[str, str]) -> None:
        """A command about files that lie in ``folder``."""
        where = {"GIT_DIR": str(self.path), "GIT_WORK_TREE": str(folder)}
        Git(folder).run(*words, env={**env, **where})

    def _commit_index(self, message: str, env: Mapping[str, str]) -> str:
        tree = self.git.run("write-tree", env=env)
        head = self.git.resolve(_MAIN)
        if head and tree == self.git.run("rev-parse", f"{head}^{{tree}}"):
            return head
        parents = ["-p", head] if head else []
        commit = self.git.run("commit-tree", tree, *parents, "-m", message, env=_WHO)
        self.move(MAIN, commit)
        return commit


def create(folder: Path, checkout: Repository) -> Bare:
    """A bare repository whose ``main`` starts at the checkout's HEAD.

    Args:
        folder: where it goes, as ``repository.git``.
        checkout: whose history it gets; one without any commit is fine.
    """
    path = folder / NAME
    folder.mkdir(parents=True, exist_ok=True)
    command.run(
        ["git", "init", "--quiet", "--bare", f"--initial-branch={MAIN}", path], timeout=_SECONDS
    )
    bare = Bare(path)
    # Flux fetches single commits, also such as no branch ends at.
    bare.git.run("config", "uploadpack.allowAnySHA1InWant", "true")
    if Git(checkout.root).resolve("HEAD"):
        # --update-shallow: CI's clones are.
        words = ("--quiet", "--update-shallow", str(checkout.root), f"+HEAD:{_MAIN}")
        bare.git.run("fetch", *words)
    return bare
