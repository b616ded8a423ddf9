"""The command line as a whole: help, exit codes, and no traceback for a user's mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from harness.cli.commands import PLUMBING, VERBS, leaves
from harness.cli.parser import parse
from harness.core import console
from harness.core.repository import Repository

_LEAVES = [f"{verb} {action}".strip() for verb, action in leaves()]


def _help_text(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 0
    return capsys.readouterr().out


def test_first_page_tells_the_story_without_plumbing(capsys: pytest.CaptureFixture[str]) -> None:
    page = _help_text(["--help"], capsys)
    sections = [
        line for line in page.splitlines() if line in {each.section for each in VERBS.values()}
    ]
    assert sections == ["Build", "Serve", "Check", "Test load", "Install", "Release", "Look"]
    for name, verb in VERBS.items():
        assert (f"\n  {name} " in page) == (verb.section != PLUMBING)
    assert "0 passed · 1 check failed · 2 usage error" in page


def test_help_all_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "--all"]) == 0
    page = capsys.readouterr().out
    for name, verb in VERBS.items():
        assert f"\n  {name} " in page
        assert all(f"\n    {action} " in page for action in verb.actions)


@pytest.mark.parametrize("leaf", _LEAVES)
def test_every_command_has_help_and_json(leaf: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = _help_text([*leaf.split(), "--help"], capsys)
    assert page.startswith(f"usage: harness {leaf} ")
    assert "--json " in page
    assert main(["help", *leaf.split()]) == 0
    assert capsys.readouterr().out.strip() == page.strip()


@pytest.mark.parametrize("verb", [name for name, verb in VERBS.items() if verb.actions])
def test_help_of_a_verb_lists_its_actions(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = _help_text([verb, "--help"], capsys)
    assert all(f"  {action} " in page for action in VERBS[verb].actions)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which command?"),
        (["mdels"], "no command 'mdels'; did you mean models?\n  → harness help --all"),
        (["models"], "which action?"),
        (
            ["release", "promot"],
            "no action 'promot'; did you mean promote?\n  → harness help --all",
        ),
        (["serve", "--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["bootstrap", "plan"], "the following arguments are required: --env"),
        (
            ["models", "build", "--store", "X", "--yes"],
            (
                "unrecognized arguments: --store X --yes\n"
                "  → --store is an option of harness models gc, harness models adopt\n"
                "  → harness models build --help"
            ),
        ),
        (["status", "--env", "local", "--all"], "--all: not allowed with argument --env"),
    ],
    ids=["none", "verb", "no-action", "action", "option", "required", "sibling's", "both"],
)
def test_usage_error_says_what_to_type(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 2
    printed = capsys.readouterr()
    assert "usage: harness" in printed.err
    assert message in printed.err
    assert not printed.out


@pytest.mark.parametrize(
    "words", ["--json", "mdels", "models", "models bild", "models gc", "check --x"]
)
def test_usage_error_is_json_for_whoever_asked_for_it(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([*words.split(), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert exit_.value.code == answer["exit"] == 2
    assert answer["error"]
    assert answer["hint"].startswith("harness ")


def test_options_may_stand_between_files() -> None:
    args = parse(["import", "old.properties", "--env", "mine", "old.env"])
    assert args.sources == ["old.properties", "old.env"]


def test_unknown_command_in_help_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "models", "bild"]) == 2
    assert "no command 'models bild'" in capsys.readouterr().err


def test_help_as_json_has_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == list(VERBS)


def test_help_as_json_of_a_command_is_about_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "models", "build", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["models"]
    assert main(["help", "nope", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "no command 'nope'"


def test_outside_a_repository_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["snapshot", "write", "--json"]) == 2
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert answer["error"] in captured.err
    assert answer["exit"] == 2
    assert "change into" in answer["hint"]


@pytest.mark.parametrize("env", ["prod", "..", ".", "../models", "staging/flux-system"])
def test_unknown_environment_is_answered_with_the_known_ones(
    env: str,
    checkout: Repository,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(checkout.root)
    assert main(["snapshot", "write", "--env", env]) == 2
    assert "one of: local, production, staging" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    ["render", "diff", "release notes", "release list", "release rollback --reason x"],
)
def test_unknown_environment_is_told_before_any_program_is_built(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("models", "clusters/lab"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert main([*words.split(), "--env", "nope"]) == 2
    assert "one of: lab" in capsys.readouterr().err
    assert not (tmp_path / "build").exists()


def test_python_dash_m_is_the_same_command() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "harness", "--help"], capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 0
    assert "usage: harness" in process.stdout


def test_help_imports_no_library() -> None:
    """What `harness --help` costs is Python's own start."""
    code = (
        "import sys; from harness.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    )
    code += "print(*sys.modules, file=sys.stderr)"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    heavy = {"boto3", "kubernetes", "locust", "numpy", "pydantic", "torch", "yaml"}
    assert not heavy & set(process.stderr.split())


@pytest.mark.parametrize(
    ("words", "redirection"),
    [
        ("--help", ">&{}"),
        ("check --help", ">&{}"),
        ("help --json", ">&{}"),
        ("image pin --json", ">&{}"),
        ("image pin --json", "2>&{}"),
        ("mdels", ">&{0} 2>&1"),
    ],
    ids=["page", "options", "json", "error-as-json", "error", "both"],
)
def test_reader_that_is_gone_ends_a_command_quietly(words: str, redirection: str) -> None:
    """As SIGPIPE ends other programs in `… | head`."""
    read, write = os.pipe()
    os.close(read)
    script = f"{sys.executable} -m harness {words} {redirection.format(write)}"
    process = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, pass_fds=[write]
    )
    os.close(write)
    assert process.returncode == 141, process.stderr
    assert "Traceback" not in process.stderr
    assert "BrokenPipe" not in process.stderr


def test_broken_pipe_is_only_quiet_if_a_reader_of_ours_has_gone() -> None:
    assert not console.discard_unread()


def test_closed_stdout_is_no_mistake() -> None:
    process = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m harness help --json >&-"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (process.returncode, process.stderr) == (0, "")
