"""The command line as a whole: help, exit codes, and no traceback for a user's mistake."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.core.repository import Repository


def test_help_names_every_verb_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert left.value.code == 0
    assert all(f"{verb} " in out for verb in cli.VERBS)
    assert "0 good · 1 check failed · 2 usage error" in out


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_and_json(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([verb, "--help"])
    assert left.value.code == 0
    assert "usage: harness" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [[], ["frobnicate"], ["serve", "--no-such-option"]], ids=["none", "verb", "option"]
)
def test_a_wrong_call_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 2
    assert "usage: harness" in capsys.readouterr().err


def test_outside_a_checkout_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["snapshot", "--env", "local", "--json"]) == 2
    captured = capsys.readouterr()
    assert "is not inside a checkout" in captured.err
    answer = json.loads(captured.out)
    assert answer["exit"] == 2
    assert "change into the checkout" in answer["hint"]


@pytest.mark.parametrize("env", ["prod", "..", ".", "../models", "staging/flux-system"])
def test_an_unknown_environment_is_answered_with_the_known_ones(
    env: str,
    checkout: Repository,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(checkout.root)
    assert cli.main(["snapshot", "--env", env]) == 2
    assert "one of: local, production, staging" in capsys.readouterr().err


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "usage: harness" in done.stdout


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    """`harness check --explain … | head -1`: no traceback, whoever closes the pipe first."""
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m harness render --env local | head -c 1; echo"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    assert "Traceback" not in done.stderr
