"""The repository that a local cluster follows: bare, made here, with throw-away commits.

The user's checkout is only read: commits are made here, each with an index of its own.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core import command
from harness.core.repository import Repository

NAME = "repository.git"
MAIN = "main"
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

    def head(self, branch: str = MAIN) -> str:
        """The commit that a branch is at."""
        return self._git("rev-parse", _head(branch))

    def commit(self, changes: Mapping[str, str | None], message: str, *, branch: str = MAIN) -> str:
        """Commit files on top of a branch and return the commit.

        Args:
            changes: path → text, or None for a file (or a folder ending in ``/``) that goes.
            message: the commit's.
            branch: what moves.
        """
        with self._index() as env:
            self._git("read-tree", _head(branch), env=env)
            self._stage(changes, env)
            return self._finish(branch, message, env)

    def take(
        self, checkout: Repository, changes: Mapping[str, str | None], *, branch: str = MAIN
    ) -> str:
        """Commit the checkout's working tree, with ``changes`` on top, and return the commit.

        A tree that is the branch's already makes no new commit.
        """
        with self._index() as env:
            self._git("add", "--all", ".", env={**env, "GIT_WORK_TREE": str(checkout.root)})
            self._stage(changes, env)
            return self._finish(branch, "The working tree", env)

    def restore(self, commit: str, *, branch: str = MAIN) -> str:
        """Commit an earlier commit's files on top of a branch and return the new commit.

        A branch that has those files already stays where it is.
        """
        with self._index() as env:
            self._git("read-tree", commit, env=env)
            return self._finish(branch, f"Back to {commit[:12]}", env)

    def sign(self, commit: str, key: Path, *, branch: str) -> str:
        """Commit a commit's files again with an SSH signature; return the new commit.

        Args:
            commit: whose files, and whose parent the new one gets.
            key: the private key.
            branch: what is set to the new commit.
        """
        signing = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}")
        words = (*signing, "commit-tree", "-S", f"{commit}^{{tree}}", "-p", commit, "-m", "Signed")
        made = self._git(*words, env=_WHO)
        self.move(branch, made)
        return made

    def move(self, branch: str, commit: str) -> None:
        """Set a branch to a commit."""
        self._git("update-ref", _head(branch), commit)

    def read(self, path: str, *, branch: str = MAIN) -> str:
        """A file as the branch has it."""
        said = command.run(
            ["git", "show", f"{_head(branch)}:{path}"],
            timeout=_SECONDS,
            env={"GIT_DIR": str(self.path)},
        )
        return said.stdout

    def files(self, folder: str, *, branch: str = MAIN) -> list[str]:
        """The paths below a folder, as the branch has them."""
        return self._git("ls-tree", "-r", "--name-only", _head(branch), f"{folder}/").splitlines()

    def export(self, commit: str, folder: Path) -> None:
        """Lay out a commit's files in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        with self._index() as env:
            self._git("read-tree", commit, env=env)
            where = {**env, "GIT_WORK_TREE": str(folder)}
            self._git("checkout-index", "--all", "--force", env=where, cwd=folder)

    def _stage(self, changes: Mapping[str, str | None], env: Mapping[str, str]) -> None:
        gone = [path for path, text in changes.items() if text is None]
        lines = []
        for path, text in changes.items():
            if text is not None:
                blob = self._git("hash-object", "-w", "--stdin", stdin=text)
                lines.append(f"100644 {blob}\t{path}\n")
        if gone:
            self._git("rm", "-r", "--cached", "--quiet", "--", *gone, env=env)
        self._git("update-index", "--add", "--index-info", env=env, stdin="".join(lines))

    def _finish(self, branch: str, message: str, env: Mapping[str, str]) -> str:
        tree = self._git("write-tree", env=env)
        parents = []
        if self._git("for-each-ref", _head(branch)):
            head = self.head(branch)
            if tree == self._git("rev-parse", f"{head}^{{tree}}"):
                return head
            parents = ["-p", head]
        commit = self._git("commit-tree", tree, *parents, "-m", message, env=_WHO)
        self._git("update-ref", _head(branch), commit)
        return commit

    def _index(self) -> "_Index":
        return _Index(self.path)

    def _git(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        cwd: Path | None = None,
    ) -> str:
        where = (env or {}).get("GIT_WORK_TREE")
        said = command.run(
            ["git", *words],
            timeout=_SECONDS,
            cwd=cwd or (Path(where) if where else self.path),
            env={"GIT_DIR": str(self.path), **(env or {})},
            stdin=stdin,
        )
        return said.stdout.strip()


class _Index:
    """An index file of its own, for as long as a commit is made."""

    def __init__(self, bare: Path) -> None:
        self._scratch = tempfile.TemporaryDirectory(dir=bare, prefix="index-")

    def __enter__(self) -> dict[str, str]:
        return {"GIT_INDEX_FILE": str(Path(self._scratch.name) / "index")}

    def __exit__(self, *_: object) -> None:
        self._scratch.cleanup()


def create(folder: Path, checkout: Repository) -> Bare:
    """A bare repository whose ``main`` starts at the checkout's HEAD.

    Args:
        folder: where it goes, as ``repository.git``.
        checkout: whose history it gets; one without any commit is fine.
    """
    path = folder / NAME
    folder.mkdir(parents=True, exist_ok=True)
    command.run(["git", "init", "--quiet", "--bare", f"--initial-branch={MAIN}", path], timeout=60)
    bare = Bare(path)
    # Flux fetches single commits, also such as no branch ends at.
    bare._git("config", "uploadpack.allowAnySHA1InWant", "true")  # noqa: SLF001
    found = command.run(
        ["git", "rev-parse", "--verify", "--quiet", "HEAD"],
        cwd=checkout.root,
        timeout=_SECONDS,
        accept=range(256),
    )
    if found.returncode == 0:
        command.run(
            # --update-shallow: CI's clones are.
            ["git", "fetch", "--quiet", "--update-shallow", checkout.root, f"+HEAD:{_head(MAIN)}"],
            timeout=_SECONDS,
            env={"GIT_DIR": str(path)},
        )
    return bare


def _head(branch: str) -> str:
    return f"refs/heads/{branch}"
