"""``harness doctor`` names what is missing with the next command, and never a credential."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import programs, tools
from harness.cli import main
from harness.core.repository import Repository


@pytest.fixture
def clone(tmp_path: Path, checkout: Repository, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with pins and models, in which nothing was built, on a machine with only git."""
    root = tmp_path / "clone"
    for folder in ("tools", "models", "clusters/local"):
        shutil.copytree(checkout.root / folder, root / folder)
    for file in ("requirements.lock", "apps/torchserve/image/jars.lock"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checkout.root / file, root / file)
    git = ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git[:3], "init", "--quiet", "--initial-branch=main"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message=x"], check=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.chdir(root)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KUBECONFIG", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    return root


def _rows(capsys: pytest.CaptureFixture[str], *, code: int = 0) -> dict[str, dict[str, str]]:
    assert main(["doctor", "--json"]) == code
    groups = json.loads(capsys.readouterr().out)
    return {
        f"{group.split(',')[0]}/{row['name']}": row for group in groups for row in groups[group]
    }


def test_fresh_clone_can_check_and_knows_the_rest(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = _rows(capsys)
    assert rows["check/programs"]["status"] == "automatic"
    assert rows["check/programs"]["next"] == "harness tools"
    assert rows["models/models"]["next"] == "harness models build"
    assert rows["bootstrap/eksctl"]["status"] == "missing"
    assert rows["bootstrap/AWS credentials"]["status"] == "missing"
    assert "update-kubeconfig" in rows["bootstrap/KUBECONFIG"]["next"]
    assert rows["release/origin/main"]["next"] == "git fetch origin main"


def test_everything_that_is_not_ready_has_a_next_command(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for row in _rows(capsys).values():
        assert (row["status"] == "ok") == (not row["next"]), row


def test_without_git_nothing_can_be_checked(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert _rows(capsys, code=1)["check/git"]["status"] == "missing"


def test_other_version_of_a_package_is_named(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / "requirements.lock").write_text("pyyaml==0.0.1 \\\n    --hash=sha256:00\n")
    row = _rows(capsys)["check/packages"]
    assert (row["status"], row["next"]) == ("automatic", "make setup")
    assert "pyyaml" in row["detail"]


def test_built_programs_are_ready(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = Repository(clone)
    for name in programs.TOOLS:
        program = repository.build / "tools" / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch()
        program.with_suffix(".pin").write_text(tools.fingerprint(repository, name))
    assert _rows(capsys)["check/programs"]["status"] == "ok"


def test_credentials_are_named_by_their_source_only(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-example")
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "from AWS_ACCESS_KEY_ID (not tried)" in printed
    assert "AKIAEXAMPLE" not in printed
    assert "secret-example" not in printed


def test_text_groups_rows_by_command(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "\n  · programs " in printed
    assert "→ harness tools\n" in printed
    assert printed.endswith("✓ ready   · provided on first use   ✗ missing\n")


def test_an_image_set_is_told_by_whether_its_environment_is_as_locked(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not [name for name in _rows(capsys) if "image set" in name]
    folder = clone / "apps/torchserve/sets/text"
    folder.mkdir(parents=True)
    (folder / "requirements.in").write_text("numpy<2\n")
    row = _rows(capsys)["models/image set text"]
    assert (row["status"], row["next"]) == ("missing", "make requirements")
    (folder / "requirements.lock").write_text("numpy==1.26.4\n")
    row = _rows(capsys)["models/image set text"]
    assert (row["status"], row["next"]) == ("automatic", "harness sets setup text")
