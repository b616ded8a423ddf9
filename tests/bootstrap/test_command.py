"""``harness bootstrap`` as a person types it."""

import json
from pathlib import Path

import pytest

from harness import cli
from tests.bootstrap.fixtures import Fork, Programs, mutating
from tests.support.aws_server import Shim

TOKEN = "ghp_" + "0123456789abcdefghijklmnopqrstuvwxyz"  # in two: whole it would be a finding


@pytest.fixture(autouse=True)
def _working_folder(
    fork: Fork, empty: Shim, on_path: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fork.repository.root)


def bootstrap(*words: str, env: str = "staging") -> int:
    return cli.main(["bootstrap", *words, "--env", env])


def test_a_plan_of_a_fresh_fork_says_what_is_yours_and_what_comes_later(
    capsys: pytest.CaptureFixture[str], empty: Shim
) -> None:
    assert bootstrap("plan") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("! settings")]
    assert any(
        line.startswith("            → harness init --env staging GIT_URL=") for line in lines
    )
    assert (
        "· foundation  after settings: key, bucket, registry and roles, by CloudFormation" in lines
    )
    assert [
        line for line in lines if line.startswith("+ cluster     + EKS cluster torchserve-staging")
    ]
    assert mutating(empty.calls) == []


def test_a_plan_leaves_nothing_in_the_account_and_nothing_in_the_checkout(
    fork: Fork, capsys: pytest.CaptureFixture[str]
) -> None:
    fork.fill()
    fork.merge()
    assert bootstrap("plan", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["foundation"]["status"], rows["foundation"]["state"]) == ("pending", "to do")
    assert len(rows["foundation"]["lines"]) > 10
    assert (rows["values"]["status"], rows["values"]["state"]) == ("blocked", "later")
    assert fork.git("status", "--porcelain") == ""


def test_an_apply_goes_as_far_as_it_can_and_a_second_one_changes_nothing(
    fork: Fork, empty: Shim, on_path: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    fork.fill()
    assert bootstrap("apply") == 3
    stderr = capsys.readouterr().err
    for step in ("programs", "caller", "settings", "foundation", "values", "cluster", "store"):
        assert f"✓ {step}" in stderr
    assert "apps/torchserve/base/helmrelease.yaml names no digest" in stderr
    assert "clusters/staging/site.yaml is not what main has" in stderr
    hints = [line for line in stderr.splitlines() if line.startswith("  → ")]
    assert "make image-base" in hints.pop(0)
    assert "make image" in hints.pop(0)
    assert hints == [
        "  → make lock",
        "  → commit, have it reviewed and merged into main, then: git pull",
        "  → then run again: harness bootstrap apply --env staging",
    ]
    assert "EFS_FILE_SYSTEM_ID: fs-" in (Path("clusters/staging/site.yaml").read_text())
    assert "UNSET" not in Path("clusters/staging/eksctl.yaml").read_text()

    before = fork.git("status", "--porcelain"), on_path.words("eksctl")
    empty.reset()
    assert bootstrap("apply") == 3
    assert mutating(empty.calls) == []
    assert (fork.git("status", "--porcelain"), on_path.words("eksctl")) == before


def test_a_stop_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap("apply", "--json") == 3
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit"] == 3
    assert "settings: DOMAIN" in answer["error"]
    assert "harness init --env staging" in answer["hint"]


def test_the_token_reaches_no_program_no_file_and_no_screen(
    fork: Fork,
    on_path: Programs,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GIT_TOKEN", TOKEN)
    fork.fill()
    bootstrap("apply")
    shown = capsys.readouterr()
    assert TOKEN not in shown.out + shown.err
    calls = [call for name in ("eksctl", "helm", "kubectl", "aws") for call in on_path.calls(name)]
    assert len(calls) > 3
    assert TOKEN not in json.dumps(calls)
    files = [path for path in fork.repository.root.rglob("*") if path.is_file()]
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


def test_a_token_by_standard_input_has_to_come(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    empty_file = tmp_path / "empty"
    empty_file.write_text("\n")
    with empty_file.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert bootstrap("apply", "--token-stdin") == 2
    assert "standard input contains no token" in capsys.readouterr().err


def test_an_environment_of_this_machine_needs_no_bootstrap(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bootstrap("plan", env="local") == 2
    assert "`make cluster`" in capsys.readouterr().err
