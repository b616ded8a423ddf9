"""Lays out what a commit has, blob by blob, under build/check.

This is the only way in which a command reads the files of a commit: ``git archive`` and ``git
checkout`` obey attributes (of the commit, of this clone, of the user) that Flux does not know.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from harness.core.errors import InputError, UsageError
from harness.core.git import Git, TreeEntry
from harness.core.repository import Repository
from harness.render import artifact

_ALSO = ("models", "tests/testdata")  # Flux reads neither; models/lock.yaml belongs to the release
_OUTSIDE = {"", ".", "..", ".git"}


def resolve(git: Git, commit: str) -> str:
    """The full name of a commit.

    Raises:
        UsageError: it is not in this clone.
    """
    full = git.resolve(commit)
    if full is None:
        raise UsageError(
            f"commit {commit} is not in this clone",
            hint="git fetch --unshallow, or fetch the branch that has it",
        )
    return full


def for_flux(repository: Repository, commit: str) -> Path:
    """The folder with what source-controller would pack of a commit, and the models' own files.

    Raises:
        InputError: Flux could not unpack it, or nobody can tell what Flux would read.
    """
    git = Git(repository.history)
    also = [each for each in git.entries(commit, *_ALSO) if each.is_file]
    entries = [*artifact_entries(git, commit), *also]
    return _lay_out_once(git, entries, repository.build / "check" / "commits" / commit)


def artifact_entries(git: Git, commit: str) -> Iterable[TreeEntry]:
    """What source-controller packs of a commit.

    Raises:
        InputError: Flux could not unpack it, or nobody can tell what Flux would read.
    """
    # By their beginnings, as go-git takes sparseCheckout: `apps` is apps-old/ too.
    entries = [each for each in git.entries(commit) if each.path.startswith(artifact.FOLDERS)]
    for each in entries:
        if why := artifact.unpackable(each.path):
            raise InputError(f"{each.path!a}: {why}", hint="rename it")
    listed = [each for each in entries if PurePosixPath(each.path).name == artifact.IGNORE_FILE]
    for each in listed:
        if not each.is_file:
            message = "is a link: what source-controller leaves out depends on what it leads to"
            raise InputError(message, at=Path(each.path), hint="remove it")
    ignore_files = {each.path: b"".join(content) for each, content in git.contents(listed)}
    ignored = artifact.ignores(artifact.patterns(ignore_files))
    return (each for each in entries if each.is_file and not ignored(each.path))


def lay_out(git: Git, entries: Iterable[TreeEntry], top: Path) -> None:
    """Write files and links, as their blobs are, below a folder that has none of them.

    Raises:
        InputError: a name leads out of the folder, or a link does.
    """
    listed = list(entries)
    for entry, content in git.contents(each for each in listed if each.is_file):
        with _place(top, entry.path).open("xb") as file:
            file.writelines(content)
    # Links come last: no file is written by way of one.
    for entry, content in git.contents(each for each in listed if each.is_link):
        _link(top, entry.path, os.fsdecode(b"".join(content)))


def _lay_out_once(git: Git, entries: Iterable[TreeEntry], folder: Path) -> Path:
    """The folder with the entries, which is whole as soon as it is there."""
    folder = folder.parent.resolve() / folder.name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        top = Path(scratch, "tree")
        top.mkdir()
        lay_out(git, entries, top)
        # Another command may have been faster: what it left is the same.
        with contextlib.suppress(OSError):
            top.rename(folder)
    return folder


def _place(top: Path, path: str) -> Path:
    """Where an entry belongs, with its folder made.

    Raises:
        InputError: that is outside ``top``, or another entry has taken it.
    """
    if _OUTSIDE & set(path.split("/")):
        raise InputError(f"{path}: a name that no checkout can hold", hint="leave the commit alone")
    place = top / path
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be laid out: {error.strerror}") from None
    if os.path.lexists(place):
        raise InputError(f"{path}: another file has a name that this disk takes for the same")
    return place


def _link(top: Path, path: str, target: str) -> None:
    place = _place(top, path)
    if not Path(os.path.normpath(place.parent / target)).is_relative_to(top):
        raise InputError(f"links to {target}, outside the repository", at=Path(path))
    place.symlink_to(target)
