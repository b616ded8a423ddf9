"""Which archives some release still needs, and the rest of the bucket.

Needed is what is pinned by the working tree, by the tip of any branch or tag, by every commit
that production was ever pointed at, and by every commit of which there is evidence: wherever a
rollback may go. Anything else was pushed for a release that never was.
"""

import re

import yaml

from harness.core.git import Git
from harness.core.repository import Repository

_PINS = ("models/lock.yaml", "apps/torchserve")
_COMMIT = re.compile(r"\b[0-9a-f]{40}\b")
_MAR = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.mar\b")


def needed(repository: Repository) -> set[str]:
    """The file names of all archives that a release needs.

    Raises:
        CommandError: this is no Git checkout, or a recorded release is not in it.
    """
    names = {
        name
        for pattern in ("models/lock.yaml", "apps/torchserve/*/model-files.yaml")
        for path in repository.root.glob(pattern)
        for name in _MAR.findall(path.read_text())
    }
    for commit in recorded(repository):
        names |= set(_MAR.findall(_pins(Git(repository.root), commit)))
    return names


def recorded(repository: Repository) -> set[str]:
    """Every commit that is a branch or a tag, or that production's records name."""
    git = Git(repository.root)
    tips = git.run("for-each-ref", "--format=%(objectname)").split()
    history = git.run("log", "--all", "--patch", "--format=", "--", "clusters/*/release.yaml")
    pinned = [
        commit
        for line in history.splitlines()
        if line.startswith(("+", "-")) and "commit:" in line
        for commit in _COMMIT.findall(line)
    ]
    releases = repository.root.glob("clusters/*/release.yaml")
    live = [commit for path in releases for commit in _pointed_at(path.read_text())]
    evidence = [path.stem for path in repository.root.glob("clusters/*/evidence/*.json")]
    return {*tips, *pinned, *live, *evidence}


def _pointed_at(release: str) -> list[str]:
    return _COMMIT.findall(str(yaml.safe_load(release)["spec"]["ref"].get("commit", "")))


def _pins(git: Git, commit: str) -> str:
    """The lines of a commit that pin archives."""
    return git.run("grep", "-h", r"\.mar", f"{commit}^{{commit}}", "--", *_PINS, accept=(0, 1))
