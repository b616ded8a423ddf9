"""Processes: no shell, always a time-out, and an error that can be acted on."""

import sys
from pathlib import Path

import pytest

from harness.core import command
from harness.core.command import CommandError, ExitError


def test_output_and_exit_code_come_back() -> None:
    completed = command.run(
        [sys.executable, "-c", "import os; print(os.environ['GREETING'], input())"],
        timeout=30,
        env={"GREETING": "hello"},
        stdin="there\n",
    )
    assert (completed.returncode, completed.stdout) == (0, "hello there\n")


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


def test_work_is_bounded_by_cpu_and_not_by_how_busy_the_machine_is() -> None:
    """What waits does not use CPU, however long that takes; what never ends is at fault."""
    patient = [sys.executable, "-c", "import threading; threading.Event().wait(1.5)"]
    assert command.run(patient, timeout=60, cpu=1).returncode == 0
    with pytest.raises(ExitError, match="killed after 1 s of CPU"):
        command.run([sys.executable, "-c", "while True: pass"], timeout=60, cpu=1)


def test_no_answer_is_not_the_fault_of_what_was_asked() -> None:
    with pytest.raises(CommandError) as stuck:
        command.run(
            [sys.executable, "-c", "import threading; threading.Event().wait(60)"],
            timeout=0.2,
            cpu=5,
        )
    assert not isinstance(stuck.value, ExitError)


def test_an_argument_never_meets_a_shell(tmp_path: Path) -> None:
    hostile = f"$(touch {tmp_path}/owned); `touch {tmp_path}/owned`"
    completed = command.run(
        [sys.executable, "-c", "import sys; print(sys.argv[1])", hostile], timeout=30
    )
    assert completed.stdout.strip() == hostile
    assert not (tmp_path / "owned").exists()


def test_a_long_run_tells_its_lines_as_they_come(tmp_path: Path) -> None:
    """The program goes on only when its first line was told."""
    go = tmp_path / "go"
    program = f"""
import pathlib, sys, time
print("first", flush=True)
while not pathlib.Path({str(go)!r}).exists():
    time.sleep(0.01)
print(input(), file=sys.stderr, flush=True)
"""
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        go.touch()

    command.stream([sys.executable, "-c", program], timeout=30, on_line=tell, stdin="second\n")
    assert lines == ["first", "second"]


@pytest.mark.parametrize(
    ("program", "timeout", "expected"),
    [
        ("print('why'); raise SystemExit(3)", 30, r"exit code 3: .*\nwhy"),
        ("import time; print('begun', flush=True); time.sleep(60)", 1, r"killed after 1 s: .*"),
    ],
    ids=["failed", "too slow"],
)
def test_a_long_run_that_fails_says_what_it_said_last(
    program: str, timeout: float, expected: str
) -> None:
    argv = [sys.executable, "-c", program]
    with pytest.raises(CommandError, match=expected):
        command.stream(argv, timeout=timeout, on_line=lambda _: None)


def test_a_long_run_ends_with_whoever_watches_it() -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(_: str) -> None:
        raise Interrupted

    argv = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)"]
    with pytest.raises(Interrupted):
        command.stream(argv, timeout=600, on_line=interrupt)


def test_a_program_that_wants_no_input_is_not_an_error() -> None:
    lines: list[str] = []
    command.stream([sys.executable, "-c", ""], timeout=30, on_line=lines.append, stdin="x" * 9_999)
    assert lines == []


def test_a_long_run_of_nothing_says_what_is_missing() -> None:
    with pytest.raises(CommandError, match="/no/such/program is not installed"):
        command.stream(["/no/such/program"], timeout=5, on_line=lambda _: None)
