"""Nothing that somebody writes into a workflow's inputs is ever run: by no shell, and not by make.

Each step's own text is run by bash as a runner would, in a folder with this Makefile, and with an
attack in every variable that the step has. Where the programs would be, a recorder writes down what
it is called with: the attack has to arrive whole, as one argument, or not at all.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.cli import main
from harness.core.repository import Repository
from tests.workflows.files import MAKEFILE, ROOT, STEPS, WORKFLOWS, Step

_RECORDER = """#!/bin/sh
printf '%s\\0' "$@" >> "$RECORD"
printf '\\036\\0' >> "$RECORD"
"""

ATTACKS = {
    "shell": "$(touch intruder)",
    "old shell": "`touch intruder`",
    "double quotes": '"; touch intruder; "',
    "single quotes": "'; touch intruder; '",
    "lines": "x\ntouch intruder\n",
    "make": "$(shell touch intruder)",
    "make, twice": "$$(shell touch intruder) $(eval $(shell touch intruder))",
    "make, a file": "$(file > intruder,x)",
    "an option": "--help; touch intruder",
    "a variable": "${IFS}&& touch intruder ||",
    "a path": "../../../../tmp; touch intruder",
}
_ATTACK = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())


@dataclass(frozen=True)
class Runner:
    """A folder in which a step runs, and what it called in it."""

    folder: Path

    def run(self, text: str, environment: dict[str, str]) -> int:
        """Run a step's text as GitHub's runner does; return the exit code."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        process = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
            cwd=self.folder,
            env={"PATH": path, "RECORD": str(self.folder / "record"), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        return process.returncode

    @property
    def called(self) -> list[list[str]]:
        record = self.folder / "record"
        calls = record.read_text().split("\x1e\0")[:-1] if record.exists() else []
        return [call.split("\0")[:-1] for call in calls]

    @property
    def bitten(self) -> list[Path]:
        """The canaries that an attack has created."""
        return list(self.folder.rglob("intruder*"))


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    folder = tmp_path / "checkout"
    written = re.findall(r"(?:\$\(VENV\)|build/tools)/bin/[\w-]+", MAKEFILE.text)
    programs = [
        folder / name.replace("$(VENV)", ".venv") for name in (*written, ".venv/bin/harness")
    ]
    programs += [folder / "bin" / name for name in ("aws", "cosign", "find", "gh", "git")]
    read = ("Makefile", "requirements.lock", "pyproject.toml", "tools/setup.sh", "tools/uv.txt")
    for name in (*read, "apps/torchserve/image/jars.lock"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    for program in programs:
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(_RECORDER)
        program.chmod(0o755)
    for torch in ("default", "none"):  # the environment is as locked: make need not set it up
        (folder / ".venv" / f".setup-{torch}").touch()
    return Runner(folder)


def test_the_intruder_would_be_seen(runner: Runner) -> None:
    runner.run('eval "$COMMIT"', {"COMMIT": ATTACKS["shell"]})
    assert runner.bitten


# Steps that run the same text with the same variables are one. Set-up reads TORCH alone: see below.
_DIFFERENT = {
    (step.run, *sorted(step.environment)): step
    for step in STEPS
    if step.run not in ("", "make setup")
}


@_ATTACK
@pytest.mark.parametrize("step", _DIFFERENT.values(), ids=str)
def test_no_step_runs_what_its_variables_hold(runner: Runner, step: Step, attack: str) -> None:
    around = {"GITHUB_RUN_NUMBER": "1", "GITHUB_SHA": "0" * 40}
    attacked = {name: attack for name in step.environment if name != "TORCH"}
    runner.run(step.run, around | attacked)
    assert not runner.bitten
    for argument in (argument for call in runner.called for argument in call):
        assert argument == attack or "intruder" not in argument
    assert runner.called or not attacked


@_ATTACK
def test_torch_is_one_of_four_words(runner: Runner, attack: str) -> None:
    assert runner.run("make check", {"TORCH": attack}) == 2
    assert not runner.bitten and not runner.called


def _reads() -> list[tuple[str, str]]:
    return [
        (target, name)
        for target, recipe in MAKEFILE.recipes.items()
        for name in re.findall(r'"\$\$(\w+)"', recipe)
    ]


@_ATTACK
@pytest.mark.parametrize(("target", "name"), _reads(), ids=lambda each: each)
def test_a_target_passes_on_what_it_is_given_as_one_argument(
    runner: Runner, target: str, name: str, attack: str
) -> None:
    runner.run(f"make --silent {target}", {name: attack})
    runner.run(f'make --silent {target} {name}="$ATTACK"', {"ATTACK": attack})
    assert not runner.bitten
    assert [call.count(attack) for call in runner.called] == [1, 1]


@pytest.mark.parametrize(
    ("switch", "option"), [("promote PUSH", "--push"), ("cluster REAL", "--real")]
)
def test_no_turns_a_switch_off(runner: Runner, switch: str, option: str) -> None:
    for value in ("yes", "1", "no", "0", ""):
        runner.run(f"make --silent {switch}={value}", {})
    assert [option in call for call in runner.called] == [True, True, False, False, False]


def test_no_recipe_lets_make_expand_what_it_is_given() -> None:
    # TORCH is one of four words, or make stops.
    for target, recipe in MAKEFILE.recipes.items():
        expanded = set(re.findall(r"\$[({](\w+)[)}]", recipe)) & MAKEFILE.settings - {"TORCH"}
        assert not expanded, target


# Each verb that a workflow's variable reaches, as its target calls it.
REFUSALS = (
    ["check", "--since"],
    ["diff", "--env", "staging", "--from"],
    ["diff", "--env"],
    ["event", "--env"],
    ["image", "pin"],
    ["loadtest", "run", "--env"],
    ["models", "push", "--env"],
    ["release", "notes", "--env"],
    ["snapshot", "write", "--env"],
    ["status", "--env"],
)


@_ATTACK
@pytest.mark.parametrize("words", REFUSALS, ids=" ".join)
def test_the_command_refuses_what_is_no_name_of_ours(
    words: list[str], attack: str, checkout: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout.root)
    monkeypatch.setenv("FLUX_EVENT", attack)
    try:
        code = main([*words, attack])
    except SystemExit as exit_:  # argparse: it looks like an option
        code = int(str(exit_.code))
    assert code == 2
    assert not (checkout.root / "intruder").exists()


@_ATTACK
def test_the_payload_of_an_event_is_refused(
    attack: str, checkout: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout.root)
    event = {
        "involvedObject": {"kind": "Kustomization", "name": attack, "namespace": "flux-system"},
        "severity": "info",
        "message": "Health check passed in 1s",
        "metadata": {"environment": "staging", "revision": f"main@sha1:{attack}"},
    }
    monkeypatch.setenv("FLUX_EVENT", json.dumps(event))
    assert main(["event", "--env", "staging"]) == 1


def test_every_input_that_somebody_may_write_is_attacked_above() -> None:
    inputs = {
        (workflow.path.name, name)
        for workflow in WORKFLOWS
        for name in (workflow.events.get("workflow_dispatch") or {}).get("inputs", {})
    }
    payloads = {each.path.name for each in WORKFLOWS if "repository_dispatch" in each.events}
    assert inputs == {("promote.yaml", "commit")}
    assert payloads == {"loadtest.yaml", "smoke.yaml"}
    attacked = {
        (step.workflow, name)
        for step in STEPS
        for name, value in step.environment.items()
        if step.run and re.search(r"inputs\.|client_payload", value)
    }
    assert attacked == {
        ("loadtest.yaml", "FLUX_EVENT"),
        ("promote.yaml", "COMMIT"),
        ("smoke.yaml", "FLUX_EVENT"),
    }


@pytest.mark.parametrize("step", [step for step in STEPS if "EVIDENCE_KEY" in step.run], ids=str)
def test_the_key_goes_by_the_pipe_alone(runner: Runner, step: Step) -> None:
    (runner.folder / "Makefile").write_text(
        "evidence promote:\n\t@cat > stdin; env > environment; echo '$(MAKEFLAGS)' > arguments\n"
    )
    assert runner.run(step.run, {"EVIDENCE_KEY": "the key", "KEY": "/dev/stdin"}) == 0
    assert (runner.folder / "stdin").read_text() == "the key\n"
    for place in ("environment", "arguments"):
        assert "the key" not in (runner.folder / place).read_text()
