"""Git by its plumbing: what history says, and commits that touch no working tree.

git = Git(Path("."))
commit = git.commit({"VERSION": "2\n"}, "Second", parent=git.resolve("main"))
git.move("refs/heads/next", commit, old=None)
"""

import contextlib
import datetime
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.core import command
from harness.core.errors import HarnessError

Changes = Mapping[str, str | None]
"""Path → text, or None for a file (or a folder ending in ``/``) that goes."""

_SECONDS = 60.0
_FIELD, _RECORD = "\x1f", "\x1e"  # nobody writes these into a commit
_ABSENT = "0" * 40  # as the old value of a ref: it must not be there yet
# A replace ref shows this clone another object than everybody else has under that name.
_ENV = {"GIT_NO_REPLACE_OBJECTS": "1"}
_REMOTE = "origin"
_FETCH_SECONDS = 180.0
_CHUNK = 1 << 20  # bytes of a blob that are in memory


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A commit in the log: when it was created, by whom, and its first line."""

    commit: str
    at: datetime.datetime
    by: str
    subject: str

    @classmethod
    def read(cls, record: str) -> "LogEntry":
        """Read what ``Git.log`` asked for."""
        commit, at, by, subject = record.split(_FIELD)
        return cls(commit, datetime.datetime.fromisoformat(at), by, subject)


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file, link or submodule of a commit, as its tree has it: no attribute changes it.

    Attributes:
        path: from the repository's top; bytes that are not UTF-8 as surrogates.
        mode: ``100644``, ``100755``, ``120000`` (a link) or ``160000`` (a submodule).
        object: the name of its blob, or of the submodule's commit.
    """

    path: str
    mode: str
    object: str

    @property
    def is_file(self) -> bool:
        return self.mode.startswith("100")

    @property
    def is_link(self) -> bool:
        return self.mode == "120000"

    @classmethod
    def read(cls, record: bytes) -> "TreeEntry":
        """Read what ``git ls-tree -z`` prints of an entry."""
        head, _, path = record.partition(b"\t")
        mode, _, name = head.decode().split(" ")
        return cls(os.fsdecode(path), mode, name)


@dataclass(frozen=True, slots=True)
class Git:
    """A repository, bare or with a working tree, by any folder of it."""

    folder: Path

    def run(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        accept: Sequence[int] = (0,),
        seconds: float = _SECONDS,
    ) -> str:
        """What a git command prints, without the last line's end.

        Raises:
            CommandError: it failed, or ran out of time.
        """
        completed = command.run(
            ["git", *words],
            cwd=self.folder,
            timeout=seconds,
            env={**_ENV, **(env or {})},
            stdin=stdin,
            accept=accept,
        )
        return completed.stdout.rstrip("\n")

    def resolve(self, name: str) -> str | None:
        """The commit that a branch, a tag or a beginning of its name means; None if none does."""
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return self.run(*words, accept=(0, 1, 128)) or None

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether ``old`` is in the history of ``new``, or is ``new``."""
        completed = command.run(
            ["git", "merge-base", "--is-ancestor", old, new],
            cwd=self.folder,
            timeout=_SECONDS,
            env=_ENV,
            accept=(0, 1, 128),
        )
        return completed.returncode == 0

    def uncommitted_changes(self, *paths: str) -> list[str]:
        """What is not committed, a line each; files that nobody added count, whatever the user's
        settings say."""
        words = ("status", "--porcelain", "--untracked-files=normal", "--")
        return self.run(*words, *paths).splitlines()

    def read(self, commit: str, path: str) -> str | None:
        """A file as a commit has it, its line ends included, or None if it has none."""
        matches = [
            each for each in self.entries(commit, path) if each.is_file and each.path == path
        ]
        for _, content in self.contents(matches):
            return b"".join(content).decode(errors="replace")
        return None

    def files(self, commit: str, folder: str) -> list[str]:
        """The paths below a folder, as a commit has them."""
        return [each.path for each in self.entries(commit, f"{folder}/")]

    def entries(self, tree: str, *paths: str) -> list[TreeEntry]:
        """Everything in a commit or tree, or what is at or below the given paths.

        Raises:
            CommandError: there is no such commit or tree.
        """
        argv = ["git", "ls-tree", "-r", "-z", "--full-tree", tree, "--", *paths]
        with self._reading(argv) as output:
            return [TreeEntry.read(each) for each in output.read().split(b"\0") if each]

    def contents(self, entries: Iterable[TreeEntry]) -> Iterator[tuple[TreeEntry, Iterator[bytes]]]:
        """Each entry with the content of its blob in pieces, to be read before the next one.

        Raises:
            CommandError: a blob is missing (this clone is a partial one, or is damaged), or git was
                killed, as it is after its time limit.
        """
        listed = list(entries)
        names = "".join(f"{each.object}\n" for each in listed).encode()
        with self._reading(["git", "cat-file", "--batch"], names) as output:
            for entry in listed:
                header = output.readline().decode().split()
                if not header:
                    break
                if len(header) != 3:  # "<name> missing"
                    raise command.CommandError(
                        f"{entry.path}: its blob {entry.object} cannot be read from this clone",
                        hint="git fetch --refetch origin",
                    )
                remaining = int(header[2])

                def pieces(remaining: int = remaining) -> Iterator[bytes]:
                    while remaining:
                        piece = output.read(min(remaining, _CHUNK))
                        remaining -= len(piece) or remaining
                        yield piece

                content = pieces()
                yield entry, content
                for _ in content:  # what was not read
                    pass
                output.read(1)
            else:
                return
        # Killed, it has raised by now.
        raise command.CommandError(f"git cat-file ended before {entry.path}")

    def _reading(
        self, argv: Sequence[str], stdin: bytes = b""
    ) -> contextlib.AbstractContextManager[IO[bytes]]:
        return command.reading(argv, cwd=self.folder, timeout=_SECONDS, env=_ENV, stdin=stdin)

    def log(self, *words: str) -> "list[LogEntry]":
        """The commits that `git log` lists, newest first by default."""
        form = _FIELD.join(("%H", "%cI", "%an", "%s")) + _RECORD
        records = self.run("log", f"--format={form}", *words).split(_RECORD)
        return [LogEntry.read(record.strip()) for record in records if record.strip()]

    def fetch(self) -> bool:
        """Fetch from origin; False where there is no such remote.

        Raises:
            HarnessError: origin does not answer.
        """
        if _REMOTE not in self.run("remote").split():
            return False
        try:
            env = {"GIT_TERMINAL_PROMPT": "0"}
            self.run("fetch", "--quiet", _REMOTE, env=env, seconds=_FETCH_SECONDS)
        except command.CommandError as error:
            raise HarnessError(
                f"origin cannot be fetched\n{error.message}", hint="git fetch origin"
            ) from error
        return True

    def commit(
        self,
        changes: Changes,
        message: str,
        *,
        parent: str,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Make a commit of ``parent``'s files with ``changes``; no branch moves.

        Args:
            changes: what differs.
            message: the commit's.
            parent: what it comes after.
            env: who commits, by git's own variables; by default the user.
        """
        with self.index() as index:
            self.run("read-tree", parent, env=index)
            self.stage(changes, index)
            tree = self.run("write-tree", env=index)
        return self.run("commit-tree", tree, "-p", parent, "-F", "-", env=env, stdin=message)

    def move(self, ref: str, new: str, *, old: str | None) -> None:
        """Set a ref, if it still is what it was; None: it must not be there.

        Raises:
            CommandError: it is something else by now.
        """
        self.run("update-ref", ref, new, old or _ABSENT)

    def stage(self, changes: Changes, index: Mapping[str, str]) -> None:
        """Put ``changes`` into an index."""
        gone = [path for path, text in changes.items() if text is None]
        lines = []
        for path, text in changes.items():
            if text is not None:
                blob = self.run("hash-object", "-w", "--stdin", stdin=text)
                lines.append(f"100644 {blob}\t{path}\n")
        if gone:
            self.run("rm", "-r", "--cached", "--quiet", "--", *gone, env=index)
        self.run("update-index", "--add", "--index-info", env=index, stdin="".join(lines))

    @contextlib.contextmanager
    def index(self) -> Iterator[dict[str, str]]:
        """The variable that names a temporary index, while a commit is being created."""
        git_dir = self.run("rev-parse", "--absolute-git-dir")
        with tempfile.TemporaryDirectory(dir=git_dir, prefix="index-") as scratch:
            yield {"GIT_INDEX_FILE": os.fspath(Path(scratch, "index"))}
