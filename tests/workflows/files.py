"""The workflows as they are written, and the Makefile that they call."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class Step:
    """A step, with the job and the workflow around it."""

    workflow: str
    job: str
    value: Mapping[str, Any]
    environment: Mapping[str, str]  # its own, and its job's

    @property
    def run(self) -> str:
        """The shell's script, or "" for an action."""
        return str(self.value.get("run", "")).strip()

    @property
    def uses(self) -> str:
        return str(self.value.get("uses", ""))

    @property
    def inputs(self) -> Mapping[str, str]:
        return _mapping(self.value.get("with"))

    def __str__(self) -> str:
        return f"{self.workflow}: {self.job}: {self.value.get('name')}"


@dataclass(frozen=True)
class Workflow:
    """A file of .github/workflows."""

    path: Path
    text: str = field(repr=False)

    @cached_property
    def value(self) -> Mapping[str, Any]:
        # BaseLoader: `on` is a word here, and a version such as 3.10 is not a number.
        return _mapping(yaml.load(self.text, yaml.BaseLoader))  # noqa: S506

    @property
    def events(self) -> Mapping[str, Any]:
        return _mapping(self.value["on"])

    @property
    def jobs(self) -> Mapping[str, Any]:
        return {name: _mapping(job) for name, job in _mapping(self.value["jobs"]).items()}

    def steps(self) -> Iterator[Step]:
        for name, job in self.jobs.items():
            around = _mapping(job.get("env"))
            for value in job.get("steps", []):
                environment = {**around, **_mapping(value.get("env"))}
                yield Step(self.path.name, name, value, environment)


@dataclass(frozen=True)
class Makefile:
    """The targets, and the variables that a caller may give."""

    text: str

    @cached_property
    def recipes(self) -> Mapping[str, str]:
        """Target → its recipe; only those that are documented."""
        recipes = re.findall(r"^([a-z][a-z0-9-]*):.*?##.*\n((?:\t.*\n)*)", self.text, re.MULTILINE)
        return dict(recipes)

    @cached_property
    def settings(self) -> set[str]:
        return set(self._variable("GIVEN"))

    def _variable(self, name: str) -> list[str]:
        match = re.search(rf"^{name} := (.*)$", self.text, re.MULTILINE)
        return match[1].split() if match else []


WORKFLOWS = [Workflow(path, path.read_text()) for path in FILES]
STEPS = [step for workflow in WORKFLOWS for step in workflow.steps()]
MAKEFILE = Makefile((ROOT / "Makefile").read_text())
