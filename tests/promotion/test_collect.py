"""What is asked of the repository itself before a pointer moves."""

import shutil

from harness.core.repository import Repository
from harness.promotion import collect
from harness.promotion.branch import upstream
from tests.promotion.conftest import Clone
from tests.support import variation

FAULT = variation.TESTDATA / "invalid" / "helm--drift--warn"


def _rules(clone: Clone, commit: str) -> set[str]:
    """The rules that find something, with the commit pinned."""
    findings = collect._findings(upstream(clone.git), clone.repository, commit, None)
    return {each.split(": ")[1] for each in findings}


def test_commit_of_a_release_branch_is_checked_by_the_rules_of_main(
    clone: Clone, checkout: Repository
) -> None:
    """And not the pointer on main, which was moved by hand: it is replaced."""
    (clone.root / "tools").unlink()
    shutil.copytree(checkout.root / "tools", clone.root / "tools")  # main pins what checks it
    clone.git.run("add", "--force", "tools")
    before = _rules(clone, clone.commit("Pin the tools"))
    clone.git.run("switch", "--quiet", "--create", "release/fix")
    for change in variation.load(FAULT).changes:
        change.apply(clone.root)
    fix = clone.commit("A fix that nobody read", push=False)
    clone.git.run("push", "--quiet", "origin", "release/fix")
    clone.git.run("switch", "--quiet", "main")
    assert upstream(clone.git).reaches(fix)
    assert _rules(clone, fix) - before == {"helm/drift"}
    assert "promotion/evidence" not in before
