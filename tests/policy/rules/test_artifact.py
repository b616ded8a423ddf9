"""Rules of the artifact that no change of a text shows: links, submodules, what Git ignores."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.core.problem import Problem
from harness.core.repository import Repository
from harness.policy.project import Project
from harness.policy.rules.delivery import artifact
from harness.render.rendered import Environment

READ = "apps/demo/deployment.yaml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / READ).parent.mkdir(parents=True)
    (tmp_path / READ).write_text("kind: Deployment\n")
    return tmp_path


@pytest.fixture
def clone(root: Path) -> Path:
    _git(root, "init", "--quiet")
    _git(root, "add", "--all")
    return root


def _git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True)


def _problems(
    rule: Callable[[Project], Iterator[Problem]], root: Path, *files: str
) -> list[tuple[str, str]]:
    environment = Environment("demo", "candidate", (), files=files or (READ,))
    problems = rule(Project(Repository(root), {"demo": environment}))
    return [(str(each.location), each.message) for each in problems]


def test_a_link_is_not_packed(root: Path) -> None:
    (root / "apps/demo/link.yaml").symlink_to("deployment.yaml")
    (root / "apps/folder").symlink_to("demo")
    read = ("apps/demo/link.yaml", "apps/folder/deployment.yaml", READ)
    places = [place for place, _ in _problems(artifact.files_are_packed, root, *read)]
    assert places == ["apps/demo/link.yaml:1", "apps/folder/deployment.yaml:1"]


def test_a_file_of_a_submodule_is_not_packed(root: Path) -> None:
    (root / "apps/demo/.git").write_text("gitdir: ../../.git/modules/demo\n")
    ((place, message),) = _problems(artifact.files_are_packed, root)
    assert (place, "submodule" in message) == (f"{READ}:1", True)


def test_a_file_that_git_ignores_is_not_committed(clone: Path) -> None:
    assert _problems(artifact.files_are_committed, clone) == []
    (clone / "apps/demo/local.yaml").write_text("kind: Secret\n")
    (clone / "apps/demo/notes.txt").write_text("nobody reads them\n")
    (clone / ".gitignore").write_text("local.yaml\nnotes.txt\n")
    read = (READ, "apps/demo/local.yaml")
    ((place, message),) = _problems(artifact.files_are_committed, clone, *read)
    assert (place, "Git ignores it" in message) == ("apps/demo/local.yaml:1", True)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_does_not_look_for_is_not_committed(clone: Path, flag: str) -> None:
    _git(clone, "update-index", flag, READ)
    assert [place for place, _ in _problems(artifact.files_are_committed, clone)] == [f"{READ}:1"]


def test_a_copy_without_history_is_read_as_it_is(root: Path) -> None:
    (root / ".gitignore").write_text("*.yaml\n")
    assert _problems(artifact.files_are_committed, root) == []


def test_attributes_of_this_clone_count_too(clone: Path) -> None:
    (clone / ".git/info").mkdir(exist_ok=True)
    (clone / ".git/info/attributes").write_text("# mine\napps/demo/*.yaml ident\n")
    ((place, message),) = _problems(artifact.attributes, clone)
    assert place == ".git/info/attributes:2"
    assert READ in message


@pytest.mark.parametrize(
    "line",
    ["*.yaml -filter", "*.yaml !ident", "*.yaml eol=lf", "*.pt filter=lfs", "# *.yaml ident"],
)
def test_an_attribute_that_changes_no_file_is_legitimate(root: Path, line: str) -> None:
    (root / ".gitattributes").write_text(f"{line}\n")
    assert _problems(artifact.attributes, root) == []


@pytest.mark.parametrize(
    "line",
    [
        "*.yaml working-tree-encoding=UTF-16",
        "/apps/** export-subst",
        "apps/demo/ export-ignore",
        '"apps/demo/deployment.yaml" ident',
        "* eol=crlf",
    ],
)
def test_an_attribute_that_changes_a_file_is_found(root: Path, line: str) -> None:
    (root / ".gitattributes").write_text(f"\n{line}\n")
    assert [place for place, _ in _problems(artifact.attributes, root)] == [".gitattributes:2"]


@pytest.mark.parametrize("folder", ["", "apps/", "apps/demo/"])
def test_an_ignore_file_is_found_at_every_level(root: Path, folder: str) -> None:
    (root / f"{folder}.sourceignore").write_text("*.md\n")
    places = [place for place, _ in _problems(artifact.ignore_file, root)]
    assert places == [f"{folder}.sourceignore:1"]


@pytest.mark.parametrize("name", ["a\\b.yaml", "a\nb.yaml", "a\x1b[2Kb.yaml", "\udcff.yaml"])
def test_a_name_that_cannot_be_unpacked_or_shown_is_found(root: Path, name: str) -> None:
    (root / "apps" / name).write_text("")
    ((place, message),) = _problems(artifact.names, root)
    assert place == "apps"
    assert message.isprintable()


@pytest.mark.parametrize("other", ["apps/demo/Deployment.yaml", "apps/Demo/deployment.yaml"])
def test_names_that_some_disks_take_for_one_are_found(root: Path, other: str) -> None:
    (root / other).parent.mkdir(exist_ok=True)
    (root / other).write_text("")
    assert len(_problems(artifact.names, root)) == 1


def test_names_that_differ_in_normalization_alone_are_found(root: Path) -> None:
    (root / "apps/caf\u00e9.yaml").write_text("")
    (root / "apps/cafe\u0301.yaml").write_text("")
    assert len(_problems(artifact.names, root)) == 1
