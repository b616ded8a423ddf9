"""What would run once an environment pins a commit, checked like a working tree.

    report = promoted.check(repository, commit, main=upstream.main, pinned=now)

An environment's own folder comes from main; everything else from the commit that it pins. That
one tree is made, laid out from blobs and checked as a whole, by the rules and exceptions of main: a
commit that is on no branch that somebody reviewed cannot suppress its own findings.
"""

import dataclasses
import tempfile
from pathlib import Path

from harness.core.git import Git
from harness.core.repository import Repository
from harness.policy import engine
from harness.policy.report import Report
from harness.render import artifact, layout

_ABOUT_MAIN = "exceptions/unused"  # main suppresses findings of main; the commit need not have them


def check(repository: Repository, commit: str, *, main: str, pinned: str | None = None) -> Report:
    """Check a commit before a pointer moves to it.

    Args:
        repository: the checkout that has the commits.
        commit: what is to be pinned.
        main: the commit that main is at.
        pinned: what is pinned now: its charts meet the new values for a moment, and the other way
            round.

    Raises:
        UsageError: a commit is not in this checkout.
        InputError: the commit cannot be laid out.
        HarnessError: could not evaluate: a tool is missing or failed.
    """
    git = Git(repository.history)
    tree = _combine_trees(git, layout.resolve(git, main), layout.resolve(git, commit))
    folder = repository.build / "check"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="promoted-") as scratch:
        root = Path(scratch).resolve()
        layout.lay_out(git, git.entries(tree), root)
        report = engine.check(Repository(root, laid_out_from=repository.history), before=pinned)
    findings = tuple(each for each in report.findings if each.rule != _ABOUT_MAIN)
    return dataclasses.replace(report, findings=findings)


def _combine_trees(git: Git, main: str, commit: str) -> str:
    """The tree of main with the released folders of the commit."""
    ours = [each for each in _top(git, main) if each.rpartition("\t")[2] not in artifact.RELEASED]
    released = [each for each in _top(git, commit) if each.rpartition("\t")[2] in artifact.RELEASED]
    return git.run("mktree", "-z", stdin="".join(f"{each}\0" for each in (*ours, *released)))


def _top(git: Git, commit: str) -> list[str]:
    return git.run("ls-tree", "-z", "--full-tree", commit).split("\0")[:-1]
