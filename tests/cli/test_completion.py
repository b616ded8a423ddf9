"""``harness completion``: what a Tab offers, in the shells that this machine has."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.cli import completion, main
from harness.cli.commands import VERBS


def _complete(line: str, folder: Path) -> list[str]:
    """Return what bash offers at the end of ``line``, in a folder."""
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    script = (
        f"{completion.bash()}\nCOMP_WORDS=({shlex.join(words)})\n"
        f'COMP_CWORD={len(words) - 1}\n_harness\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    process = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=folder, capture_output=True, text=True, timeout=20
    )
    assert not process.stderr
    return process.stdout.split()


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("harness ", list(VERBS)),
        ("harness mo", ["models"]),
        ("harness models p", ["push", "pull"]),
        ("harness models build --", ["--help", "--rebuild", "--json"]),
        ("harness serve --e", ["--env"]),
        ("harness serve --env ", ["dev", "prod"]),
        ("harness release promote --to p", ["prod"]),
        ("harness release rollback --to p", []),
        ("harness check --format s", ["sarif"]),
        ("harness snapshot import ./", []),
        ("harness nonsense ", []),
    ],
)
def test_tab_in_bash(line: str, offers: list[str], tmp_path: Path) -> None:
    for name in ("dev", "prod"):
        (tmp_path / "clusters" / name).mkdir(parents=True)
    (tmp_path / "clusters" / "allowed_signers").touch()
    assert _complete(line, tmp_path) == offers


def test_environments_outside_a_repository_are_none(tmp_path: Path) -> None:
    assert _complete("harness serve --env ", tmp_path) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_printed_with_how_to_install_it(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert script.startswith(f"# harness completion {shell} > ~/")
    assert "--source-state" in script or "-l source-state" in script
    assert main(["completion", shell, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"shell": shell, "script": script}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_valid_where_the_shell_is_installed(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(
        {"bash": completion.bash, "zsh": completion.zsh, "fish": completion.fish}[shell]()
    )
    process = subprocess.run([program, "-n", script], capture_output=True, text=True, timeout=20)
    assert (process.returncode, process.stderr) == (0, "")
