"""Processes: no shell, always a time-out, and an error that can be acted on."""

import sys
from pathlib import Path

import pytest

from harness.core import command
from harness.core.command import CommandError


def test_output_and_exit_code_come_back() -> None:
    done = command.run(
        [sys.executable, "-c", "import os; print(os.environ['GREETING'], input())"],
        timeout=30,
        env={"GREETING": "hello"},
        stdin="there\n",
    )
    assert (done.returncode, done.stdout) == (0, "hello there\n")


@pytest.mark.parametrize(
    ("argv", "timeout", "expected"),
    [
        (["/no/such/program"], 5, "/no/such/program is not installed"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], 0.2, "killed after 0.2 s"),
        (
            [sys.executable, "-c", "raise SystemExit('broken pipe wrench')"],
            30,
            "broken pipe wrench",
        ),
    ],
    ids=["missing", "too slow", "failed"],
)
def test_a_failure_says_what_was_run_and_why_it_ended(
    argv: list[str], timeout: float, expected: str
) -> None:
    with pytest.raises(CommandError, match=expected) as refused:
        command.run(argv, timeout=timeout)
    assert argv[0] in str(refused.value)


def test_an_argument_never_meets_a_shell(tmp_path: Path) -> None:
    hostile = f"$(touch {tmp_path}/owned); `touch {tmp_path}/owned`"
    done = command.run(
        [sys.executable, "-c", "import sys; print(sys.argv[1])", hostile], timeout=30
    )
    assert done.stdout.strip() == hostile
    assert not (tmp_path / "owned").exists()
