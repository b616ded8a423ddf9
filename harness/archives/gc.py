"""Which archives some release still needs, and the rest of the bucket.

Needed is what is pinned by the working tree, by the tip of any branch or tag, by every commit
that production was ever pointed at, and by every commit of which there is evidence: wherever a
rollback may go. Anything else was pushed for a release that never was.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.core import yamlfile
from harness.core.errors import InputError
from harness.core.git import Git, TreeEntry
from harness.core.repository import Repository
from harness.core.values import mapping

_PINS = ("models/lock.yaml", "apps/torchserve")
_COMMIT = re.compile(r"\bcommit:.*?\b([0-9a-f]{40})\b")
_MAR = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.mar\b")
_ABSENT = "0" * 40  # a blob that is not there, on one side of a difference


def needed_archives(repository: Repository) -> set[str]:
    """The file names of all archives that a release needs, upstream's newest among them.

    Raises:
        HarnessError: origin does not answer: what main has gained would be taken for garbage.
        CommandError: this is not a Git checkout, or a recorded release is not in it.
        InputError: a release.yaml or a lock of the working tree cannot be read.
    """
    git = Git(repository.root)
    git.fetch()
    names = {
        name
        for pattern in ("models/lock.yaml", "apps/torchserve/**/model-files.yaml")
        for path in repository.root.glob(pattern)
        for name in _MAR.findall(yamlfile.read_text(path))
    }
    commits = [f"{commit}^{{commit}}" for commit in recorded_commits(repository)]
    pins = (entry for commit in commits for entry in git.entries(commit, *_PINS))
    return names.union(*(_MAR.findall(text) for text in _texts(git, pins)))


def recorded_commits(repository: Repository) -> set[str]:
    """Every commit that is a branch or a tag, or that production's records name."""
    git = Git(repository.root)
    tips = git.run("for-each-ref", "--format=%(objectname)").split()
    pinned = {each for text in _texts(git, _pointers(git)) for each in _COMMIT.findall(text)}
    releases = repository.root.glob("clusters/*/release.yaml")
    live = [commit for path in releases for commit in _pointed_at(path)]
    evidence = [path.stem for path in repository.root.glob("clusters/*/evidence/*.json")]
    return {*tips, *pinned, *live, *evidence}


def _pointed_at(release: Path) -> list[str]:
    documents = yamlfile.parse(yamlfile.read_text(release), release)
    refs = [mapping(each.value, "spec", "ref") for each in documents]
    if not any(refs):  # what it points at would be taken for garbage
        raise InputError("has no spec.ref", at=release)
    return [each for ref in refs for each in _COMMIT.findall(f"commit: {ref.get('commit')}")]


def _pointers(git: Git) -> Iterator[TreeEntry]:
    """Every release.yaml that there ever was.

    By the names of their blobs: of a file that an attribute calls binary a patch shows nothing.
    """
    words = ("--all", "--full-history", "-m", "--raw", "--no-abbrev", "--no-renames", "--format=")
    for line in git.run("log", *words, "--", "clusters/*/release.yaml").splitlines():
        fields, _, path = line.removeprefix(":").partition("\t")
        if len(hashes := fields.split()) == 5:
            yield from (TreeEntry(path, "100644", each) for each in hashes[2:4] if each != _ABSENT)


def _texts(git: Git, entries: Iterable[TreeEntry]) -> Iterator[str]:
    """The files' contents, each content once."""
    once = {each.object: each for each in entries if each.is_file}
    for _, content in git.contents(once.values()):
        yield b"".join(content).decode(errors="replace")
