"""Throw-away commits: the user's tree is read, never touched."""

import subprocess
from pathlib import Path

import pytest

from harness.core.repository import Repository
from harness.local_cluster import bare_repository
from harness.local_cluster.bare_repository import Bare


def _git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=someone", "-c", "user.email=someone@example.com")
    result = subprocess.run(
        ["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Repository:
    root = tmp_path / "checkout"
    (root / "clusters").mkdir(parents=True)
    (root / "clusters" / "a.yaml").write_text("a: 1\n")
    (root / ".gitignore").write_text("/build/\n")
    (root / "build").mkdir()
    (root / "build" / "big").write_text("not for Git")
    _git(root, "init", "--quiet", "--initial-branch=topic")
    _git(root, "add", "--all")
    _git(root, "commit", "--quiet", "--message=first")
    return Repository(root)


@pytest.fixture
def bare(tmp_path: Path, checkout: Repository) -> Bare:
    return bare_repository.create(tmp_path / "served", checkout)


def test_main_starts_at_the_checkouts_head(bare: Bare, checkout: Repository) -> None:
    assert bare.head() == _git(checkout.root, "rev-parse", "HEAD")


def test_takes_the_working_tree_with_changes_on_top(bare: Bare, checkout: Repository) -> None:
    (checkout.root / "clusters" / "a.yaml").write_text("a: 2\n")
    (checkout.root / "clusters" / "new.yaml").write_text("n: 1\n")
    status = _git(checkout.root, "status", "--porcelain")
    bare.take(checkout, {"clusters/filled.yaml": "f: 1\n"})
    assert bare.files("clusters") == [
        "clusters/a.yaml",
        "clusters/filled.yaml",
        "clusters/new.yaml",
    ]
    assert bare.read("clusters/a.yaml") == "a: 2\n"
    assert bare.files("build") == []
    assert _git(checkout.root, "status", "--porcelain") == status


def test_same_tree_makes_no_commit(bare: Bare, checkout: Repository) -> None:
    assert bare.take(checkout, {}) == bare.take(checkout, {})


def test_commit_changes_and_removes(bare: Bare) -> None:
    first = bare.head()
    bare.commit({"clusters/a.yaml": None, "docs/b.md": "b\n"}, "Move")
    assert bare.files("clusters") == []
    assert bare.read("docs/b.md") == "b\n"
    bare.restore(first)
    assert bare.read("clusters/a.yaml") == "a: 1\n"


def test_export_lays_out_a_commit(bare: Bare, tmp_path: Path) -> None:
    bare.export(bare.head(), tmp_path / "out")
    assert (tmp_path / "out" / "clusters" / "a.yaml").read_text() == "a: 1\n"


def test_checkout_without_a_commit(tmp_path: Path) -> None:
    root = tmp_path / "empty"
    root.mkdir()
    _git(root, "init", "--quiet")
    (root / "a").write_text("1\n")
    served = bare_repository.create(tmp_path / "served-empty", Repository(root))
    served.take(Repository(root), {})
    assert served.read("a") == "1\n"
