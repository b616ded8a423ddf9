"""The gate on a commit: it is judged from its blobs, with main's folder, rules and exceptions."""

import datetime
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.policy import promoted
from tests.support import variation

BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everything}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: torchserve, namespace: torchserve}]
"""
NEXT_MONTH = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=30)
EVIL = "apps/torchserve/chart/templates/evil.yaml"
POLICY = "infra/nvidia/networkpolicy.yaml"


class Clone:
    """A clone of the real manifests, with a main."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repository = variation.copy(root)
        # The tools' pins are committed, as they really are.
        (root / "tools").unlink()
        shutil.copytree(variation.ROOT / "tools", root / "tools")
        (root / ".gitignore").write_text("build\n")
        self.git("init", "--quiet", "--initial-branch=main")
        self.main = self.commit()

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        argv = ["git", "-C", str(self.root), *identity, *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")
        return self.git("rev-parse", "HEAD")

    def rules_by_place(self, commit: str) -> dict[str, str]:
        """Rule by place of what is found, from a main that is checked out."""
        self.git("checkout", "--quiet", self.main)
        report = promoted.check(self.repository, commit, main=self.main, pinned=self.main)
        return {f"{each.location.path}": each.rule for each in report.findings}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("clone") / "repository")


@pytest.fixture(autouse=True)
def _from_main(clone: Clone) -> None:
    clone.git("checkout", "--quiet", clone.main)


def test_main_itself_is_let_through(clone: Clone) -> None:
    assert clone.rules_by_place(clone.main) == {}


def test_a_hidden_template_is_judged_and_so_is_what_hides_it(clone: Clone) -> None:
    (clone.root / EVIL).write_text(BINDING)
    attributes = clone.root / "apps/.gitattributes"
    attributes.write_text("evil.yaml export-ignore\n")
    findings = clone.rules_by_place(clone.commit())
    assert findings[EVIL].startswith("rbac/")
    assert findings["apps/.gitattributes"] == "artifact/attributes"


def test_a_commit_cannot_excuse_itself(clone: Clone) -> None:
    (clone.root / POLICY).unlink()
    listed = clone.root / "infra/nvidia/kustomization.yaml"
    listed.write_text(listed.read_text().replace("  - networkpolicy.yaml\n", ""))
    (clone.root / "infra/.sourceignore").write_text("*.md\n")
    exceptions_file = clone.root / "exceptions.yaml"
    rule = "  - {rule: artifact/ignore-file, object: 'infra/*', reason: nothing to see here, "
    exceptions_file.write_text(f"{exceptions_file.read_text()}{rule}expires: {NEXT_MONTH}}}\n")
    assert clone.rules_by_place(clone.commit())["infra/.sourceignore"] == "artifact/ignore-file"


def test_the_working_tree_the_index_and_replaced_objects_do_not_count(clone: Clone) -> None:
    (clone.root / "infra/.sourceignore").write_text("*.md\n")
    commit = clone.commit()
    clone.git("replace", commit, clone.main)
    try:
        assert clone.rules_by_place(commit) == {"infra/.sourceignore": "artifact/ignore-file"}
    finally:
        clone.git("replace", "--delete", commit)


def test_an_exception_that_the_commit_does_not_need_is_no_finding(clone: Clone) -> None:
    before = clone.main
    exceptions_file = clone.root / "exceptions.yaml"
    rule = "  - {rule: rbac/least-privilege, object: ClusterRole/new, reason: main needs it, "
    exceptions_file.write_text(f"{exceptions_file.read_text()}{rule}expires: {NEXT_MONTH}}}\n")
    main = clone.commit()
    clone.git("checkout", "--quiet", before)
    report = promoted.check(clone.repository, before, main=main)
    assert report.passed


def test_an_unknown_commit_is_a_wrong_call(clone: Clone) -> None:
    with pytest.raises(UsageError, match="not in this clone"):
        promoted.check(Repository(clone.root), "0123456789abcdef", main=clone.main)
