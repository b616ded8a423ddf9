"""The API server's own code within a check: what may not change, and where nobody built it."""

import json
from pathlib import Path

import pytest

from harness import tools
from harness.core.git import Git
from harness.core.repository import Repository
from harness.policy import engine, repair, report
from harness.settings import site
from tests.support import variation


@pytest.fixture
def committed(tmp_path: Path) -> Repository:
    """A copy of this repository whose last commit is what it holds."""
    repository = variation.copy(tmp_path)
    git = Git(tmp_path)
    git.run("init", "--quiet")
    git.run("add", "--all")
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    git.run(*identity, "commit", "--quiet", "--message=a")
    return repository


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("infra/policies/priorityclass.yaml", "value: 100000", "value: 200000", "value: 200000"),
        (
            "infra/policies/clusterrolebinding.yaml",
            "  kind: ClusterRole\n  name: torchserve-read",
            "  kind: ClusterRole\n  name: view",
            "name: view",
        ),
    ],
    ids=["priority", "role"],
)
def test_what_a_stored_object_may_not_change_is_refused(
    committed: Repository, file: str, old: str, new: str, line: str
) -> None:
    if tools.at_hand(committed, "api-validator") is None:
        pytest.skip("not built here: harness tools api-validator")
    variation.Change(file=file, old=old, new=new).apply(committed.root)
    findings = [each for each in engine.check(committed).findings if each.rule == "api/immutable"]
    lines = (committed.root / file).read_text().splitlines()
    assert findings
    for each in findings:
        assert (each.location.path, lines[(each.location.line or 0) - 1].strip()) == (
            Path(file),
            line,
        )
    assert list(repair.apply(committed.root, (each.repair for each in findings)))
    assert engine.check(committed).passed


def test_what_was_unset_may_be_filled_in_where_it_may_not_change(committed: Repository) -> None:
    if tools.at_hand(committed, "api-validator") is None:
        pytest.skip("not built here: harness tools api-validator")
    site.fill(committed, "staging", {"EFS_FILE_SYSTEM_ID": "fs-0aaaaaaaaaaaaaaa1"})
    assert engine.check(committed).findings == ()


def test_where_it_is_not_built_that_is_said_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = variation.copy(tmp_path / "copy")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    (repository.root / "tools").unlink()
    (repository.root / "tools").symlink_to(_with_another_pin(tmp_path))
    checked = engine.check(repository)
    assert checked.passed
    assert checked.not_validated == sum(checked.objects.values())
    assert "API validation not run" in report.summary(checked)
    assert json.loads(report.as_json(checked))["not_validated"] == checked.not_validated


def _with_another_pin(folder: Path) -> Path:
    """This repository's pins, but for a validator that nobody has built."""
    pins = folder / "pins"
    for each in (variation.ROOT / "tools").iterdir():
        if each.name != "kubernetes":
            pins.mkdir(exist_ok=True)
            (pins / each.name).symlink_to(each)
    validator = pins / "kubernetes" / "api-validator"
    validator.mkdir(parents=True)
    (validator / "main.go").write_text("package main\n")
    for name in ("go.mod", "go.sum"):
        (pins / "kubernetes" / name).symlink_to(variation.ROOT / "tools" / "kubernetes" / name)
    return pins
